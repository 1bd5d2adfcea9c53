import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";

import { Notice } from "../game/Notice";
import { Button, PlainButton } from "../ui/buttons";
import { type Candidate, curation, newKey } from "./api";
import type { Session } from "./session";
import { PostText } from "./PostText";
import { useKeys } from "./useKeys";

type Props = { session: Session; onCards: () => void };

const REMEMBERED = 40;

/** Which of two is better? It decides nothing, but teaches the order what to show first. */
export function PairView({ session, onCards }: Props) {
  const [number, setNumber] = useState(0);
  const [chosen, setChosen] = useState(0);
  const seen = useRef<string[]>([]);
  const shownAt = useRef(0);
  const pair = useQuery({
    queryKey: ["pair", session.filters, number],
    queryFn: () => curation.pair({ ...session.filters, status: undefined }, seen.current.slice(-REMEMBERED)),
    staleTime: Infinity,
    gcTime: 0,
    placeholderData: (before) => before,
  });
  const found = pair.data?.pair;
  const two = useMemo(() => (found ? ([found.one, found.other] as const) : undefined), [found]);
  const waiting = pair.isPlaceholderData;
  useEffect(() => {
    shownAt.current = performance.now();
  }, [two]);
  const actions = useMemo(() => {
    const next = () => {
      if (!two || waiting) return;
      seen.current.push(two[0].id, two[1].id);
      setNumber((before) => before + 1);
    };
    const choose = (better: Candidate | undefined, worse: Candidate | undefined) => () => {
      if (!better || !worse || waiting) return;
      const body = { key: newKey(), better: better.id, worse: worse.id, seconds: (performance.now() - shownAt.current) / 1_000 };
      void prefer(body);
      setChosen((before) => before + 1);
      next();
    };
    const [one, other] = two ?? [];
    return {
      ArrowLeft: choose(one, other),
      "1": choose(one, other),
      ArrowRight: choose(other, one),
      "2": choose(other, one),
      s: next,
      ArrowDown: next,
    };
  }, [two, waiting]);
  useKeys(actions);

  if (pair.isError) {
    return (
      <Notice title="No pair came" tone="trouble" action={<Button onClick={() => void pair.refetch()}>Try again</Button>}>
        {pair.error.message}
      </Notice>
    );
  }
  if (pair.data && !two) {
    return (
      <Notice title="There are not two left to compare" tone="quiet" action={<Button onClick={onCards}>Back to the cards</Button>}>
        Pairs are made of candidates that nobody decided yet.
      </Notice>
    );
  }
  return (
    <section className="pair-view" aria-label="Which of two">
      <h1 className="pair-title">Which is better?</h1>
      <p className="visually-hidden" role="status">
        {chosen} compared
      </p>
      <div className="pair" data-busy={waiting || undefined}>
        {two?.map((card, place) => (
          <PlainButton
            key={card.id}
            className="card pair-card"
            aria-keyshortcuts={String(place + 1)}
            onClick={place ? actions.ArrowRight : actions.ArrowLeft}
          >
            <span className="text" dir="auto">
              <PostText text={card.text} />
            </span>
            <span className="soft small">
              <kbd aria-hidden="true">{place ? "→" : "←"}</kbd> <bdi>{card.account ?? card.model}</bdi>
            </span>
          </PlainButton>
        ))}
      </div>
      <div className="grid-actions">
        <Button look="outlined" onClick={actions.s}>
          Cannot say&nbsp;<kbd>S</kbd>
        </Button>
      </div>
      <p className="soft small centred">Comparing decides nothing: it teaches the order which candidates to show first.</p>
    </section>
  );
}

/** A preference that does not arrive is tried again for a while; it is worth no more than that. */
async function prefer(body: Parameters<typeof curation.prefer>[0], tries = 5): Promise<void> {
  try {
    await curation.prefer(body);
  } catch {
    if (tries > 1) setTimeout(() => void prefer(body, tries - 1), 3_000);
  }
}
