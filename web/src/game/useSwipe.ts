import { type PointerEvent, useRef, useState } from "react";

const FAR_ENOUGH_PX = 90;

type Swipe<Side> = {
  /** How far the card is pulled to the right, in pixels; negative to the left. */
  offset: number;
  /** What letting go now would mean. */
  leaning: Side | undefined;
  handlers: {
    onPointerDown: (event: PointerEvent) => void;
    onPointerMove: (event: PointerEvent) => void;
    onPointerUp: () => void;
    onPointerCancel: () => void;
  };
};

/** Swiping with a finger to the left or right, each of which means something. Up and down stay the browser's, for scrolling. */
export function useSwipe<Side>(enabled: boolean, [left, right]: readonly [Side, Side], onSwipe: (side: Side) => void): Swipe<Side> {
  const from = useRef<number | null>(null);
  const [offset, setOffset] = useState(0);
  const leaning = Math.abs(offset) >= FAR_ENOUGH_PX ? (offset < 0 ? left : right) : undefined;
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
        if (enabled && from.current !== null && leaning) onSwipe(leaning);
        end();
      },
      onPointerCancel: end,
    },
  };
}
