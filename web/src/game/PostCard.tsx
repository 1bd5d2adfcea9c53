import { useEffect, useRef } from "react";

import type { Origin, Sources, Trial } from "../api";
import { useWords } from "../i18n";
import { CardBack } from "./CardBack";
import { useSwipe } from "./useSwipe";

const LONG = 180;
const VERY_LONG = 420;

type Props = {
  trial: Trial | undefined;
  reveal: Sources | undefined;
  guessed: Origin | undefined;
  slow: boolean;
  label?: string;
  focused?: boolean;
  onGuess?: (origin: Origin) => void;
};

/** A post: masked in front, the same for both origins; who or what wrote it on the back. */
export function PostCard({ trial, reveal, guessed, slow, label, focused = true, onGuess }: Props) {
  const t = useWords();
  const front = useRef<HTMLElement>(null);
  const swipe = useSwipe<Origin>(
    Boolean(trial) && !guessed && Boolean(onGuess),
    ["human", "model"],
    onGuess ?? (() => undefined),
  );
  useEffect(() => {
    if (trial && focused) front.current?.focus({ preventScroll: true });
  }, [trial, focused]);
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
          aria-label={label ?? t("who")}
          aria-hidden={reveal ? true : undefined}
          aria-busy={!trial}
        >
          <Mask />
          {trial ? <Front trial={trial} /> : <Placeholder slow={slow} />}
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
          {swipe.offset < 0 ? t("human") : t("ai")}
        </span>
      )}
    </div>
  );
}

/** The post's text, or on an attention check what to press. */
function Front({ trial }: { trial: Trial }) {
  const t = useWords();
  if (trial.check === null) return <PostText text={trial.text} />;
  return <PostText text={`${t("check")}. ${t(`check_${trial.check}`)}`} />;
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
  const t = useWords();
  return (
    <div className="text placeholder" role="status">
      <span className="visually-hidden">{t("loading_card")}</span>
      {slow ? <span className="soft">{t("slow")}</span> : null}
    </div>
  );
}
