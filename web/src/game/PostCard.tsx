import { useEffect, useRef } from "react";

import type { Origin, Reveal, Trial } from "../api";
import { CardBack } from "./CardBack";
import { useSwipe } from "./useSwipe";

const LONG = 180;
const VERY_LONG = 420;

type Props = {
  trial: Trial | undefined;
  reveal: Reveal | undefined;
  guessed: Origin | undefined;
  slow: boolean;
  onGuess: (origin: Origin) => void;
};

/** A post: masked in front, the same for both origins; who or what wrote it on the back. */
export function PostCard({ trial, reveal, guessed, slow, onGuess }: Props) {
  const front = useRef<HTMLElement>(null);
  const swipe = useSwipe<Origin>(Boolean(trial) && !guessed, ["human", "model"], onGuess);
  useEffect(() => {
    if (trial) front.current?.focus({ preventScroll: true });
  }, [trial]);
  const style = swipe.offset
    ? { transform: `translateX(${swipe.offset}px) rotate(${swipe.offset / 28}deg)`, transition: "none" }
    : undefined;
  return (
    <div className="card-place" {...swipe.handlers} style={style}>
      <div className={`card-turn${reveal ? " card-turned" : ""}`}>
        <article
          ref={front}
          className="card card-front"
          tabIndex={-1}
          aria-label="Who wrote this?"
          aria-hidden={reveal ? true : undefined}
          aria-busy={!trial}
        >
          <Mask />
          {trial ? <PostText text={trial.text} /> : <Placeholder slow={slow} />}
          <div className="card-foot" aria-hidden="true">
            <span className="blur blur-date" />
            <span className="blur blur-likes" />
          </div>
        </article>
        {trial && reveal && <CardBack reveal={reveal} text={<PostText text={trial.text} />} />}
      </div>
      {swipe.offset !== 0 && (
        <span
          className={`lean lean-${swipe.offset < 0 ? "human" : "model"}${swipe.leaning ? " lean-set" : ""}`}
          aria-hidden="true"
        >
          {swipe.offset < 0 ? "Human" : "AI"}
        </span>
      )}
    </div>
  );
}

function Mask() {
  return (
    <div className="card-head" aria-hidden="true">
      <span className="avatar avatar-masked" />
      <span className="masked-names">
        <span className="blur blur-name" />
        <span className="blur blur-handle" />
      </span>
    </div>
  );
}

function PostText({ text }: { text: string }) {
  const size = text.length > VERY_LONG ? " text-very-long" : text.length > LONG ? " text-long" : "";
  return (
    <p className={`text${size}`} dir="auto" tabIndex={text.length > VERY_LONG ? 0 : undefined}>
      {text}
    </p>
  );
}

function Placeholder({ slow }: { slow: boolean }) {
  return (
    <div className="text placeholder" role="status">
      <span className="visually-hidden">Loading the next card</span>
      {slow ? <span className="soft">The server is slow to answer. Hold on …</span> : null}
    </div>
  );
}
