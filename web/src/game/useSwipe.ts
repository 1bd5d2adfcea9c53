import { type PointerEvent, useRef, useState } from "react";

import type { Origin } from "../api";

const FAR_ENOUGH_PX = 90;

type Swipe = {
  /** How far the card is pulled to the right, in pixels; negative to the left. */
  offset: number;
  /** What letting go now would mean. */
  leaning: Origin | undefined;
  handlers: {
    onPointerDown: (event: PointerEvent) => void;
    onPointerMove: (event: PointerEvent) => void;
    onPointerUp: () => void;
    onPointerCancel: () => void;
  };
};

/** Swiping with a finger: left is human, right is AI. Up and down stay the browser's, for scrolling. */
export function useSwipe(enabled: boolean, onGuess: (origin: Origin) => void): Swipe {
  const from = useRef<number | null>(null);
  const [offset, setOffset] = useState(0);
  const leaning = Math.abs(offset) >= FAR_ENOUGH_PX ? (offset < 0 ? "human" : "model") : undefined;
  const end = () => {
    from.current = null;
    setOffset(0);
  };
  return {
    offset: enabled ? offset : 0,
    leaning: enabled ? leaning : undefined,
    handlers: {
      onPointerDown: (event) => {
        if (enabled && event.pointerType !== "mouse") from.current = event.clientX;
      },
      onPointerMove: (event) => {
        if (from.current !== null) setOffset(event.clientX - from.current);
      },
      onPointerUp: () => {
        if (enabled && from.current !== null && leaning) onGuess(leaning);
        end();
      },
      onPointerCancel: end,
    },
  };
}
