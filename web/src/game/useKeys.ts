import { useLayoutEffect } from "react";

import type { Origin } from "../api";

const GUESSES: Record<string, Origin> = { h: "human", arrowleft: "human", a: "model", arrowright: "model" };

type Props = { onGuess: (origin: Origin) => void; onNext: () => void; revealed: boolean };

/** H or ← for human, A or → for AI, Enter or Space for the next card; not while a dialogue is open. */
export function useKeys({ onGuess, onNext, revealed }: Props): void {
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (document.querySelector("dialog[open]")) return;
      const guess = GUESSES[event.key.toLowerCase()];
      if (guess && !revealed) {
        event.preventDefault();
        onGuess(guess);
      } else if (revealed && (event.key === "Enter" || event.key === " ") && !isControl(event.target)) {
        event.preventDefault();
        onNext();
      }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [onGuess, onNext, revealed]);
}

/** Whether the key means something to what has the focus: a link, a button. */
function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("a, button, input, select, textarea") !== null;
}
