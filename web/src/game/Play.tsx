import { useMutation, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";

import { api, ApiError, type Answer, type Category, type Confidence as Level, type Mode, type Origin, type Reveal, type Score, serverless } from "../api";
import { useWords } from "../i18n";
import { Button } from "../ui/buttons";
import { nextRound } from "./ahead";
import { categoryName } from "./categoryName";
import { Choices } from "./Choices";
import { Confidence } from "./Confidence";
import { Notice } from "./Notice";
import { Outcome, verdict } from "./Outcome";
import { Pair } from "./Pair";
import { PostCard } from "./PostCard";
import { DailyEnd, Share } from "./RoundEnd";
import { ScoreLine } from "./ScoreLine";
import { sound } from "./sound";
import { useKeys } from "./useKeys";
import { useSlow } from "./useSlow";

const RETRIES = 4;
const ALL_SEEN_MS = 10_000;

type Props = {
  category: Category;
  mode: Mode;
  score: Score;
  bestRun: number;
  onLost: () => void;
  onAnswered: (reveal: Reveal) => void;
  onChoose: (() => void) | undefined;
};

/** One card (or pair) after another: show, guess, reveal, next. */
export function Play({ category, mode, score: firstScore, bestRun: firstBest, onLost, onAnswered, onChoose }: Props) {
  const t = useWords();
  const [number, setNumber] = useState(0);
  const [history, setHistory] = useState<boolean[]>([]);
  const [score, setScore] = useState(firstScore);
  const [bestRun, setBestRun] = useState(firstBest);
  const [sureness, setSureness] = useState<Level | null>(null);
  const shownAt = useRef(0);

  const round = useQuery({
    queryKey: ["round", category.key, mode, number],
    queryFn: () => nextRound(category.key, mode),
    staleTime: Infinity,
    gcTime: 0,
    retry: (count, error) => count < 1 && isTransient(error),
    refetchInterval: (query) => {
      const { data, error } = query.state;
      if (error) return isTransient(error) && 4_000;
      if (!data || data.trial || serverless) return false;
      return mode === "daily" ? data.day === null && 4_000 : ALL_SEEN_MS; // a model may be writing on
    },
  });
  const guess = useMutation({
    mutationFn: (answer: Answer) => api.guess(answer, mode),
    retry: (count, error) => count < RETRIES && isTransient(error),
    retryDelay: (count) => 300 * 2 ** count,
    onSuccess: (reveal) => {
      setScore(reveal.score);
      setBestRun(reveal.best_run);
      onAnswered(reveal);
      if (reveal.check) return;
      sound(reveal.correct);
      setHistory((past) => [...past, reveal.correct].slice(-10));
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401) onLost();
    },
  });

  const trial = round.data?.trial ?? undefined;
  const other = round.data?.other ?? undefined;
  const reveal = guess.data;
  const { mutate, reset } = guess;
  const idle = guess.isIdle;

  useEffect(() => {
    shownAt.current = performance.now();
  }, [trial?.id]);
  useEffect(() => {
    if (round.error instanceof ApiError && round.error.status === 401) onLost();
  }, [round.error, onLost]);

  const answer = useCallback(
    (id: string, origin: Origin) => {
      if (!idle) return;
      const response_ms = Math.round(performance.now() - shownAt.current);
      mutate({ trial: id, guess: origin, response_ms, confidence: sureness });
    },
    [idle, mutate, sureness],
  );
  const choose = useCallback(
    (origin: Origin) => {
      if (!trial) return;
      if (mode !== "pair") answer(trial.id, origin);
      else if (other) answer((origin === "human" ? trial : other).id, "human");
    },
    [answer, mode, trial, other],
  );
  const next = useCallback(() => {
    reset();
    setSureness(null);
    setNumber((before) => before + 1);
  }, [reset]);
  const confide = useCallback((level: Level) => setSureness((now) => (now === level ? null : level)), []);
  useKeys({ onGuess: choose, onConfidence: confide, onNext: next, revealed: Boolean(reveal) });

  const slow = useSlow(round.isPending || guess.isPending);

  if (round.isError && !trial) {
    return (
      <Notice title={t("no_card_came")} tone="trouble" action={<Button onClick={() => void round.refetch()}>{t("try_again")}</Button>}>
        {round.error.message} {isTransient(round.error) && t("keeps_trying")}
      </Notice>
    );
  }
  const name = categoryName(category);
  if (round.data && !trial) {
    if (mode === "daily") {
      const day = round.data.day;
      return (
        <Notice title={t(day ? "daily_done" : "no_cards")} tone="quiet">
          {day ? <DailyEnd day={day} category={name} /> : t("daily_wait")}
        </Notice>
      );
    }
    return (
      <Notice title={t("all_seen")} tone="quiet" action={onChoose && <Button onClick={onChoose}>{t("other_category")}</Button>}>
        <p>{t("all_seen_text", { name })}</p>
        <p>{t("all_seen_score", { right: score.right, total: score.total, best: score.best_streak })}</p>
      </Notice>
    );
  }
  const at = round.data?.position ?? 0;
  const over = reveal && mode === "endless" && !reveal.check && !reveal.correct ? (reveal.run ?? 0) : undefined;
  return (
    <section className="play" aria-label={t("title")}>
      <h1 className={mode === "pair" ? "pair-question" : "visually-hidden"}>{t(mode === "pair" ? "which_human" : "title")}</h1>
      <p className="visually-hidden" role="status">
        {reveal ? verdict(reveal, t) : trial?.text}
      </p>
      <ScoreLine
        mode={mode}
        score={score}
        history={history}
        run={reveal?.run ?? at}
        bestRun={bestRun}
        day={reveal?.day ?? round.data?.day ?? null}
        at={at}
      />
      {mode === "pair" ? (
        <Pair
          trials={[trial, other]}
          reveal={reveal}
          picked={guess.variables?.trial}
          slow={slow}
          onPick={(id) => answer(id, "human")}
        />
      ) : (
        <PostCard
          trial={trial}
          reveal={reveal?.check ? undefined : reveal}
          guessed={guess.variables?.guess}
          slow={slow}
          onGuess={choose}
        />
      )}
      {over !== undefined && (
        <div className="run-over">
          <strong>{t("run_over", { count: over })}</strong> {t("run_best", { count: bestRun })}
          {over > 0 && <Share line={t("share_run", { count: over })} category={name} />}
        </div>
      )}
      {reveal ? (
        <Outcome reveal={reveal} onNext={next} />
      ) : (
        <>
          {mode !== "pair" && <Choices disabled={!trial || !idle} pending={guess.variables?.guess} onGuess={choose} />}
          <Confidence value={sureness} onChange={setSureness} />
        </>
      )}
      {guess.isPending && slow && (
        <p className="soft centred" role="status">
          {t("guess_slow")}
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
  const t = useWords();
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
  const said = answer.guess === "human" ? t("human").toLowerCase() : t("ai");
  return (
    <div className="problem" role="alert">
      <p>
        {error.message} {again && t("guess_kept", { guess: said })}
      </p>
      <Button look="outlined" onClick={again ? onAgain : onNext}>
        {t(again ? "again" : "next_card")}
      </Button>
    </div>
  );
}

function isTransient(error: unknown): boolean {
  return error instanceof ApiError && error.transient;
}
