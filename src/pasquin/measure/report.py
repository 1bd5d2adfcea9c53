"""The report on a game: one page of HTML that needs no network and no script, of the figures `measure` returns.

`pasquin measure --html` writes it and `/stats` serves it. Each plot has its n, its intervals, and a sentence that says
how it was made and where the method is from. Colours follow the reader's light or dark setting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from pasquin.counts import counted
from pasquin.measure.plots import bands, columns, interval_text, intervals, number, percent

_STYLE: Final = Path(__file__).with_name("report.css")
_SHARES: Final = ("0%", "25%", "50%", "75%", "100%")
_BY: Final = {
    "model": ("By model", "Human items are those of the categories in which the model’s were shown."),
    "arm": (
        "By what curators made of the texts",
        "Screened texts were decided on by nobody; the others are grouped by the decision that stands now.",
    ),
    "category": ("By category", ""),
    "drawn": (
        "By how the card was drawn",
        "Cards chosen by how hard they are, to suit the player or the length of a run, are no fair sample of the "
        "texts. They are in no other figure but the item-response scale, where a choice that rests on earlier answers "
        "does no harm (Mislevy and Wu 1996).",
    ),
    "mode": ("By mode", ""),
    "confidence": ("By confidence", "A player who is well calibrated is right more often when sure."),
    "experience": (
        "By experience",
        "Who plays longer may differ from who stops early, so a slope is learning and selection together.",
    ),
    "response_time": ("By response time", "A difference here doesn’t say that time causes it."),
}
_CLUSTERED: Final = (
    "95% intervals clustered by player: cluster-robust variance with the CR2 correction (Bell and McCaffrey 2002), "
    "Student’s t with the degrees of freedom of Imbens and Kolesár (2016), on the logit scale for shares."
)
_PLAY: Final = '<p><a href="/">Play</a></p>'
_AS_ABOVE: Final = "95% intervals clustered by player (Bell and McCaffrey 2002; Imbens and Kolesár 2016)."
_BOTH: Final = (
    '<ul class="legend"><li><span class="key one"></span>fool rate: model items judged human</li>'
    '<li><span class="key two"></span>human pass rate: human items judged human</li></ul>'
)


def render(result: Mapping[str, Any], *, nonce: str | None = None) -> str:
    """The page. With `nonce` it is for the server, whose header says what the page may do; else it says so itself."""
    corpora = ", ".join(result["corpora"]) or "All categories"
    if nonce is None:
        policy = (
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        )
        style = "<style>"
    else:
        policy = '<link rel="icon" href="/favicon.svg" type="image/svg+xml">\n'
        style = f'<style nonce="{escape(nonce)}">'
    sections = [section for section in _sections(result) if section]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n{policy}'
        f"<title>Human or AI? The figures of {escape(corpora)}</title>\n"
        f"{style}\n{_STYLE.read_text(encoding='utf-8')}</style>\n"
        f"</head>\n<body>\n<main>\n{_heading(result, corpora, live=nonce is not None)}\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def none_counts(result: Mapping[str, Any]) -> str | None:
    """What to say where people guessed and every guess is left out by the rules; None where nobody did."""
    left_out = result.get("exclusions", {}).get("guesses", 0)
    if not left_out:
        return None
    return f"No guess counts yet: the rules leave out all {counted(left_out, 'guess', 'guesses')} (see the exclusions)."


def summary(result: Mapping[str, Any]) -> str:
    """The main figures in one or two sentences."""
    if not result["guesses"] and result.get("pair"):
        return (
            "So far people only chose between two texts; figures of single texts appear when they have guessed on some."
        )
    if not result["guesses"]:
        return none_counts(result) or "No guesses yet. Figures appear here as soon as people have played."
    if result.get("few_players"):
        return (
            f"So far {counted(result['players'], 'player')} made {counted(result['guesses'], 'guess', 'guesses')}. "
            f"Figures are shown from {result['few_players']} players on, so that none of them can be told apart."
        )
    fooled, passed, told = result["fool_rate"], result["human_pass_rate"], result["d_prime"]
    if fooled is None or passed is None:
        missing = "model" if fooled is None else "human"
        return f"Only one kind of item was guessed on: there are no {missing} items yet, so nothing can be compared."
    words = (
        f"People took {interval_text(fooled)} of the model’s texts for human, and {interval_text(passed)} of the real "
        f"ones: d′ = {interval_text(told, share=False)}. "
    )
    if told["low"] is None:
        return words + "One player says nothing about others."
    if told["low"] <= 0 <= told["high"]:
        return words + "These guesses don’t show that people can tell them apart, nor that they can’t."
    return words + (
        "People tell them apart better than chance." if told["value"] > 0 else "They are fooled on balance."
    )


def _heading(result: Mapping[str, Any], corpora: str, *, live: bool) -> str:
    tiles = []
    if result["guesses"]:
        tiles.append(counted(result["players"], "player").partition(" ")[::2])
        tiles.append(counted(result["guesses"], "guess", "guesses").partition(" ")[::2])
    if result.get("fool_rate"):
        tiles.append((percent(result["fool_rate"]["value"]), "fool rate"))
    if result.get("human_pass_rate"):
        tiles.append((percent(result["human_pass_rate"]["value"]), "human pass rate"))
    if result.get("d_prime"):
        tiles.append((number(result["d_prime"]["value"]), "d′"))
    cells = "".join(f"<li><strong>{escape(value)}</strong> {escape(label)}</li>" for value, label in tiles)
    return (
        f'<header><p class="kind">Human or AI?</p><h1>{escape(corpora)}</h1>'
        f'<p class="lead">{escape(summary(result))}</p>{_PLAY if live else ""}<ul class="tiles">{cells}</ul></header>'
    )


def _sections(result: Mapping[str, Any]) -> list[str]:
    if result.get("few_players") or not result["guesses"]:
        choices = _pair(result.get("pair"))
        told = _section("Choices between two texts", choices) if choices else ""
        return [told, _detectors(result), _exclusions(result)]
    return [
        _main(result),
        *(_breakdown(result["by"].get(name, []), *words) for name, words in _BY.items()),
        _growing(result.get("looks") or []),
        _alike(result),
        _models(result),
        _scales(result.get("item_response"), result.get("examples")),
        _detectors(result),
        _exclusions(result),
    ]


def _section(title: str, body: str, note: str = "") -> str:
    after = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{body}{after}</section>"


def _main(result: Mapping[str, Any]) -> str:
    rows = [
        ("Fool rate: model items judged human", [("one", result["fool_rate"])]),
        ("Human pass rate: human items judged human", [("two", result["human_pass_rate"])]),
        ("Accuracy: guesses that were right", [("three", result["accuracy"])]),
    ]
    scale = [
        (
            f"d′: {_meaning(result['d_prime'], 'tells them apart', 'is fooled on balance')}",
            [("one", result["d_prime"])],
        ),
        (f"c: {_meaning(result['c'], 'leans to “human”', 'leans to “AI”')}", [("two", result["c"])]),
    ]
    body = intervals(rows, (0, 1), _SHARES, middle=0.5)
    if result["d_prime"]:
        body += intervals(scale, (-2, 4), ("−2", "−1", "0", "1", "2", "3", "4"), middle=0, share=False)
    body += _pair(result.get("pair"))
    return _section(
        "The figures",
        body,
        f"{_CLUSTERED} d′ = z(H) − z(F) and c = −(z(H) + z(F))/2 of the pooled shares of model items (H) and human "
        "items (F) judged to be a model’s (Macmillan and Creelman 2005), with the log-linear correction (Hautus 1995).",
    )


def _pair(pair: Mapping[str, Any] | None) -> str:
    if not pair:
        return ""
    told = escape(interval_text(pair["d_prime"], share=False))
    return (
        f"<p>Of {counted(pair['choices'], 'choice')} between two texts, by {counted(pair['players'], 'player')}, "
        f"{escape(interval_text(pair['right']))} were right: d′ = {told}, "
        "√2·z of that share. They are not in the other figures.</p>"
    )


def _meaning(figure: Mapping[str, Any] | None, positive: str, negative: str) -> str:
    if figure is None or figure["low"] is None or figure["low"] <= 0 <= figure["high"]:
        return "compatible with 0"
    return f"the crowd {positive if figure['value'] > 0 else negative}"


def _breakdown(groups: Sequence[Mapping[str, Any]], title: str, note: str) -> str:
    if not groups or (len(groups) == 1 and title not in ("By experience", "By model")):
        return ""
    rows = [(group["name"], [("one", group["fool_rate"]), ("two", group["human_pass_rate"])]) for group in groups]
    details = "".join(
        f'<tr><th scope="row"><bdi>{escape(group["name"])}</bdi></th><td class="number">{group["players"]:,}</td>'
        f'<td class="number">{escape(interval_text(group["accuracy"]))}</td>'
        f'<td class="number">{escape(interval_text(group["d_prime"], share=False))}</td></tr>'
        for group in groups
    )
    table = (
        '<h3>The same groups</h3><div class="scroll"><table class="plain"><thead><tr><th></th><th class="number">'
        'players</th><th class="number">accuracy</th><th class="number">d′</th></tr></thead>'
        f"<tbody>{details}</tbody></table></div>"
    )
    told = f"{note} Among many rows, one in twenty misses its truth.".strip()
    return _section(title, _BOTH + intervals(rows, (0, 1), _SHARES, middle=0.5) + table, f"{told} {_AS_ABOVE}")


def _growing(looks: Sequence[Mapping[str, Any]]) -> str:
    if len(looks) < 2:
        return ""
    last = looks[-1]["n"]
    x = [look["n"] / last for look in looks]
    bottom = math.floor(10 * min(look["low"] for look in looks)) / 10
    top = math.ceil(10 * max(look["high"] for look in looks)) / 10

    def band(low: str, high: str) -> list[tuple[float, float, float]]:
        return [(at, height(look[low]), height(look[high])) for at, look in zip(x, looks, strict=True)]

    def height(share: float) -> float:
        return float((share - bottom) / (top - bottom))

    body = bands(
        f"Fool rate as guesses arrived; after {last:,} it is {percent(looks[-1]['value'])}",
        [
            ("wide", band("low", "high")),
            ("narrow", band("fixed_low", "fixed_high")),
        ],
        [(at, height(look["value"])) for at, look in zip(x, looks, strict=True)],
        ("0", f"{last // 2:,}", counted(last, "guess", "guesses")),
        (percent(top), percent((top + bottom) / 2), percent(bottom)),
    )
    legend = (
        '<ul class="legend"><li><span class="key one"></span>fool rate so far</li>'
        '<li><span class="key narrow"></span>interval for one look</li>'
        '<li><span class="key wide"></span>confidence sequence: holds at all looks</li></ul>'
    )
    return _section(
        "While data arrive",
        legend + body,
        f"Now {percent(looks[-1]['value'])}, confidence sequence {percent(looks[-1]['low'])} to "
        f"{percent(looks[-1]['high'])} (n = {last:,}, {counted(looks[-1]['players'], 'player')}). Who looks often, "
        "and stops when the narrow band pleases, is wrong far more often than one time in twenty; the wide band may be "
        "read at any time, and a study may stop on it. "
        "Asymptotic confidence sequence, players as units (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024).",
    )


def _alike(result: Mapping[str, Any]) -> str:
    sample, alike = result["sample"], result["independence"]
    body = (
        f"<p>For ±{100 * sample['margin']:.0f} points, {sample['independent']:,} independent guesses on model items "
        f"are needed. Guesses of one player resemble each other: here {sample['have_guesses']:,} are worth "
        f"{sample['worth_independent']:,.0f} independent ones (design effect {sample['design_effect']:.2f}), so about "
        f"{sample['needed_guesses']:,} are needed"
        + (f", or {sample['needed_players']:,} such players" if sample["needed_players"] else "")
        + ".</p>"
    )
    if alike:
        body += (
            f"<p>Guesses about one text resemble each other too: design effect {alike['design_effect_items']:.2f} over "
            f"{counted(alike['items'], 'text')}. For these texts the interval above holds; for <em>other</em> texts "
            "of the same kind, and other players, the fool rate is "
            f"{escape(interval_text(alike['fool_rate_two_way']))}.</p>"
        )
    return _section(
        "How much the guesses are worth",
        body,
        "n = z²p(1−p)/margin² at p = ½ (Cochran 1977), times the design effect (Kish 1965). Two-way interval: players "
        "and texts (Cameron, Gelbach and Miller 2011).",
    )


def _models(result: Mapping[str, Any]) -> str:
    ranking, curators, pairs = result.get("ranking"), result.get("curators_ranking"), result.get("model_differences")
    if not pairs:
        return ""
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(pair["first"])}</bdi> − <bdi>{escape(pair["second"])}</bdi></th>'
        f'<td class="number">{escape(interval_text(pair["difference"], share=False))}</td>'
        f'<td class="number">{_p(pair["p"])}</td><td class="number">{_p(pair["p_adjusted"])}</td></tr>'
        for pair in pairs
    )
    body = (
        '<h3>Differences of fool rates</h3><div class="scroll"><table class="plain"><thead><tr><th></th>'
        '<th class="number">difference</th><th class="number">p</th><th class="number">adjusted</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    for title, found in (("Strength by players’ guesses", ranking), ("Strength by curators’ choices", curators)):
        if found:
            reach = max(1.0, *(abs(row["strength"][end]) for row in found for end in ("low", "high")))
            lines = [(row["name"], [("one", {**row["strength"], "n": row["n"]})]) for row in found]
            marks = (number(-reach), "0", number(reach))
            body += f"<h3>{title}</h3>" + intervals(lines, (-reach, reach), marks, middle=0, share=False)
    return _section(
        "Models beside each other",
        body,
        "Differences clustered by player, who may have guessed on both models; p-values adjusted for their number "
        "(Holm 1979). Strengths: Bradley and Terry (1952), log-odds of seeming human beside the average model, from "
        "pairs of guesses of one player that differ, so that a player’s leaning cancels out.",
    )


def _p(value: float) -> str:
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def _scales(found: Mapping[str, Any] | None, examples: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    marks = ("−3", "0", "3")
    difficulty = found["difficulty"]
    series = [("one", difficulty["model"]["counts"]), ("two", difficulty["human"]["counts"])]
    body = (
        '<h3>How hard the texts are</h3><ul class="legend"><li><span class="key one"></span>model items '
        f'(n = {difficulty["model"]["n"]:,})</li><li><span class="key two"></span>human items '
        f"(n = {difficulty['human']['n']:,})</li></ul>"
        + columns("Difficulty of items", [pair for pair in series if pair[1]], marks)
    )
    if "ability" in found:
        body += f"<h3>How able the players are (n = {found['ability']['n']:,})</h3>" + columns(
            "Ability of players", [("one", found["ability"]["counts"])], marks
        )
    for key, title in (("most_human", "Hardest to unmask"), ("least_human", "Easiest to unmask")):
        texts = (examples or {}).get(key)
        if texts:
            lines = "".join(
                f"<li>{escape(text['text'])}<small>judged human by {text['judged_human']} of {text['answers']}; "
                f"difficulty {number(text['difficulty'])} ± {number(text['se'])}</small></li>"
                for text in texts
            )
            body += f'<h3>{title}</h3><ul class="texts">{lines}</ul>'
    return _section(
        "Players and texts on one scale",
        body,
        f"{found['model']} item-response model of {found['guesses']:,} guesses, {found['players']:,} players, "
        f"{found['items']:,} texts (Rasch 1960; Birnbaum 1968), by marginal maximum likelihood (Bock and Aitkin 1981); "
        "in log-odds: 0 is a text the average player gets right half of the time. How surely abilities are told apart "
        f"(reliability): {number(found['reliability'])}.",
    )


def _detectors(result: Mapping[str, Any]) -> str:
    detectors = result.get("detectors")
    if not detectors:
        return ""
    rows = [(row["name"], [("two", row["auc"])]) for row in detectors]
    people = [("people (Φ(d′/√2))", [("one", result["auc"])])] if result.get("auc") else []
    return _section(
        "People beside detectors",
        intervals([*people, *rows], (0, 1), ("0", "0.25", "0.5", "0.75", "1"), middle=0.5, share=False),
        "Area under the ROC curve: how often the model’s text is picked from a pair; 0.5 is chance. Detectors: "
        "cross-validated in 5 folds on held-out posts and candidates matched in length, DeLong’s interval (1988). "
        "“Length alone” must be near 0.5. People’s: of the guesses above. " + _likeness(result),
    )


def _likeness(result: Mapping[str, Any]) -> str:
    alike, copied = result.get("likeness"), result.get("copies")
    words = ""
    if alike:
        words = (
            f"MAUVE of candidates against posts {alike['mauve']:.2f}, of posts against posts {alike['ceiling']:.2f}; "
            f"different pairs of words {alike['distinct_2']:.1%}, of posts {alike['human_distinct_2']:.1%}. "
        )
    if copied and copied["n"]:
        words += (
            f"Of {counted(copied['n'], 'completion')}, {copied['verbatim_rate']:.2%} copied a post and "
            f"{copied['near_rate']:.2%} nearly; they are no candidates."
        )
    return words


def _exclusions(result: Mapping[str, Any]) -> str:
    found = result.get("exclusions")
    if not found:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(rule["words"])}</th><td class="number">{rule["guesses"]:,}</td>'
        f'<td class="number">{rule["players"]:,}</td></tr>'
        for rule in found["rules"]
    )
    body = (
        '<div class="scroll"><table class="plain"><thead><tr><th>left out</th><th class="number">guesses</th>'
        f'<th class="number">players</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="note">In all {counted(found["guesses"], "guess", "guesses")} of {found["of"]:,}. '
    )
    body += "What fewer than 5 players did is not shown. " if found["hidden"] else ""
    if found["fool_rate_without"] and result.get("fool_rate"):
        body += (
            f"Had all counted, the fool rate would be {escape(interval_text(found['fool_rate_without']))} instead of "
            f"{escape(interval_text(result['fool_rate']))}, and the human pass rate "
            f"{escape(interval_text(found['human_pass_rate_without']))} instead of "
            f"{escape(interval_text(result['human_pass_rate']))}. "
        )
    changed = found["changed_settings"]
    body += (
        f"The rules were changed from Pasquin’s own: {escape(', '.join(changed))}."
        if changed
        else "The rules are Pasquin’s own, fixed before any guess was made; none looks at whether a guess was right."
    )
    return _section("What was left out", body + "</p>")
