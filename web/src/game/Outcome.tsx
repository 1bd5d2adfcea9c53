import { Button } from "@mantine/core";
import { useLayoutEffect, useRef } from "react";

import type { Reveal } from "../api";
import { CheckIcon, CrossIcon } from "./icons";

type Props = { reveal: Reveal; onNext: () => void };

/** Right or wrong, how others did, and for a model's text the real post nearest to it. */
export function Outcome({ reveal, onNext }: Props) {
  const next = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => next.current?.focus({ preventScroll: true }), []);
  return (
    <div className="outcome">
      <div className={`verdict ${reveal.correct ? "verdict-right" : "verdict-wrong"}`}>
        <span className="verdict-mark">{reveal.correct ? <CheckIcon /> : <CrossIcon />}</span>
        <div>
          <strong>{rightOrWrong(reveal)}</strong> {whoItWas(reveal)}
          {reveal.right_share !== null && (
            <span className="others">
              {" "}
              {Math.round(reveal.right_share * 100)}% of {reveal.others.toLocaleString()} others got it right.
            </span>
          )}
        </div>
      </div>
      <Button ref={next} className="primary" size="lg" fullWidth onClick={onNext}>
        Next <kbd aria-hidden="true">Enter</kbd>
      </Button>
      {reveal.model && <Nearest model={reveal.model} />}
    </div>
  );
}

/** The outcome in one sentence, as it is read aloud. */
export function verdict(reveal: Reveal): string {
  return `${rightOrWrong(reveal)} ${whoItWas(reveal)}`;
}

function rightOrWrong(reveal: Reveal): string {
  return reveal.correct ? "Right." : "Wrong.";
}

function whoItWas(reveal: Reveal): string {
  return reveal.origin === "human" ? "A person wrote this." : "The AI made this up.";
}

function Nearest({ model }: { model: NonNullable<Reveal["model"]> }) {
  const { nearest, longest_run: run, similarity } = model;
  if (!nearest) return null;
  return (
    <figure className="nearest">
      <figcaption>
        The nearest real post, by <bdi>{nearest.author}</bdi>
        <span className="nearest-figures">
          {Math.round(similarity * 100)}% alike; the longest run they share is {run} characters.
        </span>
      </figcaption>
      <blockquote dir="auto">{nearest.text}</blockquote>
      {nearest.url && (
        <a href={nearest.url} target="_blank" rel="noopener noreferrer nofollow">
          See the post<span className="visually-hidden"> (opens a new tab)</span>
        </a>
      )}
    </figure>
  );
}
