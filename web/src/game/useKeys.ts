import { useLayoutEffect } from "react";

import type { Confidence, Origin } from "../api";

const GUESSES: Record<string, Origin> = { h: "human", arrowleft: "human", a: "model", arrowright: "model" };
const SURENESS: Record<string, Confidence> = { s: "sure", u: "unsure" };

type Props = {
  onGuess: (origin: Origin) => void;
  onConfidence: (level: Confidence) => void;
  onNext: () => void;
  revealed: boolean;
};

/** H or ← for human, A or → for AI (of two cards: the left or the right one), S and U for how sure, Enter or Space for
 * the next card; not while a dialogue is open. */
export function useKeys({ onGuess, onConfidence, onNext, revealed }: Props): void {
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (document.querySelector("dialog[open]") || isField(event.target)) return;
      const key = event.key.toLowerCase();
      const guess = GUESSES[key];
      const sureness = SURENESS[key];
      if (guess && !revealed) {
        event.preventDefault();
        onGuess(guess);
      } else if (sureness && !revealed) {
        onConfidence(sureness);
      } else if (revealed && (event.key === "Enter" || event.key === " ") && !isControl(event.target)) {
        event.preventDefault();
        onNext();
      }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [onGuess, onConfidence, onNext, revealed]);
}

/** Whether the key means something to what has the focus: a link, a button. */
function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("a, button, input, select, textarea") !== null;
}

/** Whether letters and arrows mean something to what has the focus. */
function isField(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, select, textarea") !== null;
}
