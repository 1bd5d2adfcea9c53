import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";

import { api, ApiError, type Answer, type Category, type Origin, type Score } from "../api";
import { Choices } from "./Choices";
import { Notice } from "./Notice";
import { Outcome, verdict } from "./Outcome";
import { PostCard } from "./PostCard";
import { ScoreLine } from "./ScoreLine";
import { useKeys } from "./useKeys";
import { useSlow } from "./useSlow";

const RETRIES = 4;

type Props = { category: Category; score: Score; onLost: () => void; onChoose: (() => void) | undefined };

/** One card after another: show, guess, reveal, next. */
export function Play({ category, score: firstScore, onLost, onChoose }: Props) {
  const [number, setNumber] = useState(0);
  const [history, setHistory] = useState<boolean[]>([]);
  const [score, setScore] = useState(firstScore);
  const shownAt = useRef(0);

  const round = useQuery({
    queryKey: ["round", category.key, number],
    queryFn: () => api.round(category.key),
    staleTime: Infinity,
    gcTime: 0,
    retry: (count, error) => count < 1 && isTransient(error),
    refetchInterval: (query) => (query.state.error && isTransient(query.state.error) ? 4_000 : false),
  });
  const guess = useMutation({
    mutationFn: (answer: Answer) => api.guess(answer),
    retry: (count, error) => count < RETRIES && isTransient(error),
    retryDelay: (count) => 300 * 2 ** count,
    onSuccess: (reveal) => {
      setScore(reveal.score);
      setHistory((past) => [...past, reveal.correct].slice(-10));
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401) onLost();
    },
  });

  const trial = round.data?.trial ?? undefined;
  const reveal = guess.data;
  const { mutate, reset } = guess;
  const idle = guess.isIdle;

  useEffect(() => {
    shownAt.current = performance.now();
  }, [trial?.id]);
  useEffect(() => {
    if (round.error instanceof ApiError && round.error.status === 401) onLost();
  }, [round.error, onLost]);

  const choose = useCallback(
    (origin: Origin) => {
      if (!trial || !idle) return;
      mutate({ trial: trial.id, guess: origin, response_ms: Math.round(performance.now() - shownAt.current) });
    },
    [trial, idle, mutate],
  );
  const next = useCallback(() => {
    reset();
    setNumber((before) => before + 1);
  }, [reset]);
  useKeys({ onGuess: choose, onNext: next, revealed: Boolean(reveal) });

  const slow = useSlow(round.isPending || guess.isPending);

  if (round.isError && !trial) {
    return (
      <Notice title="No card came" tone="trouble" action={<Button onClick={() => void round.refetch()}>Try again now</Button>}>
        {round.error.message} {isTransient(round.error) && "This page keeps trying by itself; your score is safe."}
      </Notice>
    );
  }
  if (round.data && !trial) {
    return (
      <Notice title="That was all of it" tone="quiet" action={onChoose && <Button onClick={onChoose}>Choose another category</Button>}>
        <p>{round.data.message}</p>
        <p>
          You were right {score.right} times out of {score.total}. Best streak: {score.best_streak}.
        </p>
      </Notice>
    );
  }
  return (
    <section className="play" aria-label="Game">
      <h1 className="visually-hidden">Human or AI?</h1>
      <p className="visually-hidden" role="status">
        {reveal ? verdict(reveal) : trial?.text}
      </p>
      <ScoreLine score={score} history={history} />
      <PostCard trial={trial} reveal={reveal} guessed={guess.variables?.guess} slow={slow} onGuess={choose} />
      {reveal ? (
        <Outcome reveal={reveal} onNext={next} />
      ) : (
        <Choices
          disabled={!trial || !idle}
          pending={guess.variables?.guess}
          onGuess={choose}
        />
      )}
      {guess.isPending && slow && (
        <p className="soft centred" role="status">
          Your guess is on its way. The server is slow to answer …
        </p>
      )}
      {guess.isError && guess.variables && (
        <Unsent error={guess.error} answer={guess.variables} onAgain={() => mutate(guess.variables)} onNext={next} />
      )}
    </section>
  );
}

type UnsentProps = { error: Error; answer: Answer; onAgain: () => void; onNext: () => void };

/** A guess that did not arrive: kept, and sent again when asked or when the connection is back. */
function Unsent({ error, answer, onAgain, onNext }: UnsentProps) {
  const again = isTransient(error);
  useEffect(() => {
    if (!again) return;
    const timer = setInterval(onAgain, 5_000);
    window.addEventListener("online", onAgain);
    return () => {
      clearInterval(timer);
      window.removeEventListener("online", onAgain);
    };
  }, [again, onAgain]);
  return (
    <div className="problem" role="alert">
      <p>
        {error.message}{" "}
        {again && `Your guess (${answer.guess === "human" ? "human" : "AI"}) is kept and will be sent as soon as it is back.`}
      </p>
      <Button variant="default" onClick={again ? onAgain : onNext}>
        {again ? "Send it again now" : "Next card"}
      </Button>
    </div>
  );
}

function isTransient(error: unknown): boolean {
  return error instanceof ApiError && error.transient;
}
