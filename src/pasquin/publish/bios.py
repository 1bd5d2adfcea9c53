"""What a bio says: that a machine writes, which, whether a person picks, who answers, and whom it parodies.

Read in English, German, French, Italian, Spanish and Portuguese, with what denies it. A bio that says it in words not
known here is not understood; `pasquin bot setup` writes one that is.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

_AI: Final = (
    r"(?:a\.?i\.?|k\.?i\.?|i\.?a\.?|artificial intelligence|(?:large |small )?language models?|llms?|neural networks?|"
    r"gpt(?:-?\d)?|machines?|computers?|algorithms?|bots?|robots?|sprachmodell(?:en|s)?|künstlicher? intelligenz|"
    r"intelligence artificielle|modèles? de langue|intelligenza artificiale|modell[oi] linguistic[oi]|"
    r"inteligencia artificial|inteligência artificial|modelos? de (?:linguagem|lenguaje))"
)
_MADE: Final = (
    r"(?:generated|written|made|produced|created|composed|authored|generiert|geschrieben|erzeugt|erstellt|"
    r"généré(?:e?s?)|écrit(?:e?s?)|generat[oiae]|scritt[oiae]|generad[oa]s?|escrit[oa]s?|gerad[oa]s?)"
)
_BY: Final = r"(?:by|with|from|von|mit|par|avec|da(?:ll?a?)?|por|con|com|using|through|durch)"
_ARTICLE: Final = (
    r"(?:(?:an?|the|our|my|eine[mrn]?|une?|un[ao]?|il|la|el|uma?|"
    r"some|fine-tuned|tiny|little|own)[\s-]+|l'|dall'|un'|d')*"
)
_PERSON: Final = (
    r"(?![\s-]*(?:scientist|engineer|researcher|expert|nerd|fan|company|lab|startup|enthusiast|artist|developer|"
    r"person|people|guy|lover|student|journalist|critic|ethic|policy|safety)s?)"
)
_GENERATED: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<!\w){_AI}[\s-]*(?:text[\s-]*)?{_MADE}(?!\w)",
        rf"(?<!\w){_MADE}[\s-]+(?:(?:entirely|solely|automatically|only)[\s-]+)?{_BY}?[\s-]*{_ARTICLE}{_AI}(?!\w){_PERSON}",
        r"(?<!\w)(?:model|automatically|synthetically|maschinell|automatisch|automatiquement)[\s-]+(?:generat|generier|génér)\w+",
        r"(?<!\w)(?:an? |the )?a\.?i\.?[\s-]+(?:parody|bot|satire|parodist|imitation)(?!\w)" + _PERSON,
        r"(?<!\w)(?:ki-bot|ki-parodie|parodie par ia|parodia (?:di|con) ia|bot (?:de |di |d')?ia)(?!\w)",
        r"(?<!\w)(?:an?|this|every|each) (?:language model|ai|llm) (?:writes|generates|makes|produces)(?!\w)",
        r"(?<!\w)synthetic (?:text|posts?)(?!\w)",
    )
)
_NOT: Final = r"(?:not|no|never|without|zero|isn't|aren't|non|keine?|nicht|ohne|pas|sans|senza|sin|sem|nunca|niemals)"
_SMALL_WORDS: Final = (
    r"(?:(?:an?|the|any|by|with|use[ds]?|uses|using|really|actually|even|just|une?|eine[rmn]?|von|par|da|mit|de|ever|"
    r"been|posts?|text|is|are)\s+)*"
)
_DENIED: Final = re.compile(
    rf"(?<!\w){_NOT}\s+{_SMALL_WORDS}(?:{_AI}(?:[\s-]*{_MADE})?|{_MADE}\s+{_BY}\s+{_ARTICLE}{_AI})(?!\w)"
    r"|(?<!\w)100 ?% human(?![\s-]+(?:curat|pick|review|select|approv|check|chos))"
    rf"|(?<!\w)(?<!not )(?:human[\s-]written|{_MADE} by (?:an? )?(?:real )?(?:human|person|people|me|hand)s?)(?!\w)"
    r"|(?<!\w)(?:i am|i'm|this is) (?:a )?(?:real|human)(?!\w)"
)
_PICKS: Final = (
    r"(?:picked|curated|chosen|selected|reviewed|approved|checked|vetted|moderated|screened|handpicked|kuratiert|"
    r"ausgewählt|geprüft|ausgesucht|choisi(?:e?s?)|sélectionné(?:e?s?)|relu(?:e?s?)|validé(?:e?s?)|scelt[oiae]|"
    r"selezionat[oiae]|curat[oiae]|rivist[oiae]|revisad[oa]s?|seleccionad[oa]s?|elegid[oa]s?|escolhid[oa]s?|"
    r"selecionad[oa]s?|curad[oa]s?)"
)
_CURATED: Final = re.compile(
    rf"(?<!\w){_PICKS}(?!\w)|(?<!\w)(?:curators?|human[\s-]in[\s-]the[\s-]loop|human (?:review|curation|editor))(?!\w)"
)
_UNCURATED: Final = re.compile(
    rf"(?<!\w)(?:{_NOT}[\s-]+(?:(?:been|yet|always|individually|human|hand|by|an?|any|are|is|personally)[\s-]+)*"
    rf"(?:{_PICKS}|human review|review|curation|curators?|human oversight|oversight|moderation))(?!\w)"
    r"|(?<!\w)(?:un-?(?:curated|reviewed|moderated|selected|checked|kuratiert)|ungeprüft)(?!\w)"
    r"|(?<!\w)nobody (?:picks|checks|reviews)(?!\w)"
    r"|(?<!\w)(?:fully|completely|entirely|purely) (?:automat\w+|autonomous)(?!\w)"
    r"|(?<!\w)(?:no|without|zero) (?:any )?humans?(?!\w)|(?<!\w)(?:vollautomatisch|entièrement automati\w+)(?!\w)"
)

_TWICE_NOT: Final = re.compile(r"(?<!\w)(?:nothing|no posts?|none)\s+(?:\w+\s+){0,5}?(?:not|un-?(?=\w))\s*(?=\w)")


def plain(text: str) -> str:
    """A text as a reader takes it in: compatibility forms, case, invisible characters and kinds of dashes resolved."""
    opened = unicodedata.normalize("NFKC", text)
    seen = "".join(one for one in opened if unicodedata.category(one) != "Cf")
    seen = re.sub(r"[\u2010-\u2015\u2212]", "-", seen).replace("’", "'")
    return " ".join(seen.casefold().split())


def says_generated(bio: str) -> bool:
    """Whether a bio says that its posts are written by a machine, and does not deny it."""
    text = plain(bio)
    return any(pattern.search(text) for pattern in _GENERATED) and not _DENIED.search(text)


def says_curated(bio: str) -> Literal["curated", "uncurated"] | None:
    """Whether a bio says that a person picks the posts, or that nobody does; None when it says neither."""
    text = _TWICE_NOT.sub("everything is ", plain(bio))
    if _UNCURATED.search(text):
        return "uncurated"
    return "curated" if _CURATED.search(text) else None


def names(bio: str, name: str) -> bool:
    """Whether a bio names somebody: as a whole word, a handle with or without its at sign."""
    wanted = plain(name).removeprefix("@")
    if not wanted:
        return False
    return re.search(rf"(?<![\w.-]){re.escape(wanted)}(?![\w-]|[.@]\w)", plain(bio)) is not None


def names_family(bio: str, family: str) -> bool:
    """Whether a bio names a model family: `SmolLM2-135M` is named by SmolLM2, `gpt2` by GPT-2."""
    runs = re.findall(r"[^\W\d_]+|\d+", plain(family.rpartition("/")[2]))
    if not runs:
        return False
    stem = runs[:2] if len(runs) > 1 and runs[1].isdigit() else runs[:1]
    pattern = r"[\s._-]*".join(re.escape(run) for run in stem)
    return re.search(rf"(?<!\w){pattern}(?![^\W_])", plain(bio)) is not None
