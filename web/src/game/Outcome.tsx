import { useMutation } from "@tanstack/react-query";
import { useLayoutEffect, useRef } from "react";

import { api, type Reason, type Reveal, serverless } from "../api";
import { percent, type Translate, useWords } from "../i18n";
import { Button, PlainButton } from "../ui/buttons";
import { CheckIcon, CrossIcon } from "./icons";

const REASONS: Reason[] = ["sense", "style", "facts", "feeling", "knew"];

type Props = { reveal: Reveal; onNext: () => void };

/** Right or wrong, how others did, and for a model's text the real post nearest to it. */
export function Outcome({ reveal, onNext }: Props) {
  const t = useWords();
  const next = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => next.current?.focus({ preventScroll: true }), []);
  const model = reveal.model ?? reveal.other?.model;
  return (
    <div className="outcome">
      <div className={`verdict ${reveal.correct ? "verdict-right" : "verdict-wrong"}`}>
        <span className="verdict-mark">{reveal.correct ? <CheckIcon /> : <CrossIcon />}</span>
        <div>
          <strong>{t(reveal.correct ? "verdict_right" : "verdict_wrong")}</strong> {whatItWas(reveal, t)}
          {reveal.right_share !== null && !reveal.other && !reveal.check && (
            <span className="others">
              {" "}
              {t.count("others", reveal.others, { share: percent(t.language, reveal.right_share) })}
            </span>
          )}
        </div>
      </div>
      <Button ref={next} className="primary" size="large" wide onClick={onNext}>
        {t("next")} <kbd aria-hidden="true">Enter</kbd>
      </Button>
      {!reveal.check && !serverless && <Why key={reveal.trial} trial={reveal.trial} />}
      {model && <Nearest model={model} />}
    </div>
  );
}

/** The outcome in one sentence, as it is read aloud. */
export function verdict(reveal: Reveal, t: Translate): string {
  return `${t(reveal.correct ? "verdict_right" : "verdict_wrong")} ${whatItWas(reveal, t)}`;
}

function whatItWas(reveal: Reveal, t: Translate): string {
  if (reveal.check) return t(reveal.correct ? "check_right" : "check_wrong");
  if (reveal.other) return t(reveal.correct ? "pair_right" : "pair_wrong");
  return t(reveal.origin === "human" ? "was_human" : "was_model");
}

/** Why one guessed so: one press, or none at all; the game goes on meanwhile. */
function Why({ trial }: { trial: string }) {
  const t = useWords();
  const say = useMutation({ mutationFn: (reason: Reason) => api.reason(trial, reason) });
  return (
    <div className="why" role="group" aria-label={t("why")}>
      <span className="soft small">{t("why")}</span>
      {REASONS.map((reason) => (
        <PlainButton
          key={reason}
          className="chip"
          aria-pressed={say.variables === reason && !say.isError}
          onClick={() => say.mutate(reason)}
        >
          {t(`reason_${reason}`)}
        </PlainButton>
      ))}
    </div>
  );
}

function Nearest({ model }: { model: NonNullable<Reveal["model"]> }) {
  const t = useWords();
  const { nearest, longest_run: run, similarity } = model;
  if (!nearest) return null;
  return (
    <figure className="nearest">
      <figcaption>
        {t.rich("nearest", { author: <bdi>{nearest.author}</bdi> })}
        <span className="nearest-figures">{t("nearest_figures", { share: percent(t.language, similarity), run })}</span>
      </figcaption>
      <blockquote dir="auto">{nearest.text}</blockquote>
      {nearest.url && (
        <a href={nearest.url} target="_blank" rel="noopener noreferrer nofollow">
          {t("see_post")} <span className="visually-hidden">{t("new_tab")}</span>
        </a>
      )}
    </figure>
  );
}
