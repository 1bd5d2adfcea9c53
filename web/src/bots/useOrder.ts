import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";

import type { BotEntry } from "./api";

/** The order of a queue, changed by dragging a handle or with the arrow keys; `moved` is told the entry and the one it
 * goes before (null: at the end). The new order shows at once; what the server says when it is
 * no longer `busy` with it stands. */
export function useOrder(waiting: BotEntry[], busy: boolean, moved: (id: string, before: string | null) => void) {
  const [ids, setIds] = useState<string[] | null>(null);
  const [dragged, setDragged] = useState<string | null>(null);
  const [said, setSaid] = useState("");
  const list = useRef<HTMLOListElement>(null);
  const refocus = useRef<string | null>(null);
  useEffect(() => {
    if (!dragged && !busy) setIds(null);
  }, [waiting, busy]); // eslint-disable-line react-hooks/exhaustive-deps
  const known = new Map(waiting.map((entry) => [entry.id, entry]));
  const entries = ids?.every((id) => known.has(id)) && ids.length === waiting.length ? ids.map((id) => known.get(id)!) : waiting;
  const order = entries.map((entry) => entry.id);

  useEffect(() => {
    if (!refocus.current) return;
    list.current?.querySelector<HTMLElement>(`[data-entry="${refocus.current}"] .handle`)?.focus();
    refocus.current = null;
  });

  const place = (id: string, to: number) => {
    const rest = order.filter((one) => one !== id);
    const at = Math.max(0, Math.min(to, rest.length));
    return [...rest.slice(0, at), id, ...rest.slice(at)];
  };
  const settle = (id: string, next: string[]) => {
    const at = next.indexOf(id);
    if (waiting[at]?.id === id && next.every((one, index) => waiting[index]?.id === one)) return;
    setSaid(`Moved to number ${at + 1} of ${next.length}.`);
    moved(id, next[at + 1] ?? null);
  };

  const onKeyDown = (id: string) => (event: KeyboardEvent) => {
    const now = order.indexOf(id);
    const to = { ArrowUp: now - 1, ArrowDown: now + 1, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (to < 0 || to >= order.length || to === now) return;
    const next = place(id, to);
    setIds(next);
    refocus.current = id;
    settle(id, next);
  };
  const onPointerDown = (id: string) => (event: PointerEvent<HTMLButtonElement>) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setDragged(id);
  };
  const onPointerMove = (id: string) => (event: PointerEvent) => {
    if (dragged !== id || !list.current) return;
    const others = [...list.current.querySelectorAll<HTMLElement>("[data-entry]")].filter((item) => item.dataset.entry !== id);
    const above = others.filter((item) => {
      const box = item.getBoundingClientRect();
      return box.top + box.height / 2 < event.clientY;
    }).length;
    if (order.indexOf(id) !== above) setIds(place(id, above));
    if (event.clientY > window.innerHeight - 60) window.scrollBy({ top: 14 });
    if (event.clientY < 60) window.scrollBy({ top: -14 });
  };
  const finish = (id: string) => () => {
    if (dragged !== id) return;
    setDragged(null);
    settle(id, order);
  };
  const cancel = () => {
    setDragged(null);
    setIds(null);
  };
  const handle = (id: string) => ({
    onKeyDown: onKeyDown(id),
    onPointerDown: onPointerDown(id),
    onPointerMove: onPointerMove(id),
    onPointerUp: finish(id),
    onPointerCancel: cancel,
  });
  return { entries, dragged, said, list, handle };
}
