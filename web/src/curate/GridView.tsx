import { useEffect, useMemo, useState } from "react";

import { Button } from "../ui/buttons";
import type { Candidate } from "./api";
import { Badge } from "./CardView";
import type { Session } from "./session";
import { useKeys } from "./useKeys";

const TILES = 48;

/** Dozens at once: pick the good ones, reject the rest with one key. */
export function GridView({ session }: { session: Session }) {
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const tiles = session.queue.slice(0, TILES);
  const chosen = tiles.filter((card) => picked.has(card.id));
  const rest = tiles.filter((card) => !picked.has(card.id));

  // What was picked stays in sight until it is decided, however the order changes meanwhile.
  useEffect(() => {
    session.held = picked;
    return () => {
      session.held = new Set();
    };
  }, [session, picked]);

  const toggle = (id: string) =>
    setPicked((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });
  const actions = useMemo(() => {
    const all = (cards: Candidate[], decision: "accept" | "reject") => {
      const group = session.newGroup();
      const seconds = session.secondsLooked() / Math.max(1, cards.length);
      for (const card of cards) session.decideOn(card, decision, { via: "grid", group, seconds });
      const done = new Set(cards.map((card) => card.id));
      setPicked((before) => new Set([...before].filter((id) => !done.has(id))));
    };
    return {
      a: () => all(chosen, "accept"),
      x: () => all(chosen, "reject"),
      r: () => all(rest, "reject"),
      Enter: undefined,
      u: () => session.undo(),
      z: () => session.undo(),
    };
  }, [session, chosen, rest]);
  useKeys(actions);

  return (
    <section className="grid-view" aria-label="Many at once">
      <h1 className="visually-hidden">Pick the good ones</h1>
      <p className="visually-hidden" role="status">
        {session.last ?? ""} {tiles.length} candidates shown, {chosen.length} picked
      </p>
      <div className="grid-actions" role="group" aria-label="Decide">
        <Button onClick={actions.a} disabled={!chosen.length}>
          Accept {chosen.length} picked&nbsp;<kbd>A</kbd>
        </Button>
        <Button look="outlined" onClick={actions.x} disabled={!chosen.length}>
          Reject {chosen.length} picked&nbsp;<kbd>X</kbd>
        </Button>
        <Button look="outlined" onClick={actions.r} disabled={!rest.length}>
          Reject the {chosen.length ? "other " : ""}
          {rest.length}&nbsp;<kbd>R</kbd>
        </Button>
        <Button look="outlined" onClick={() => session.undo()}>
          Undo&nbsp;<kbd>U</kbd>
        </Button>
      </div>
      {tiles.length === 0 && <p className="soft centred">{session.loaded ? "Nothing to show with these filters." : "Loading …"}</p>}
      <div className="tiles">
        {tiles.map((card) => (
          <button
            key={card.id}
            type="button"
            className={`tile${picked.has(card.id) ? " tile-picked" : ""}`}
            aria-pressed={picked.has(card.id)}
            onClick={() => toggle(card.id)}
          >
            {card.decided && <Badge candidate={card} />}
            <span className="tile-text" dir="auto">
              {card.decided?.text ?? card.text}
            </span>
            <span className="tile-foot soft">
              <bdi>{card.account ?? card.model}</bdi>
            </span>
          </button>
        ))}
      </div>
    </section>
  );
}
