import type { Day, Mode, Score } from "../api";
import { useWords } from "../i18n";

type Props = { mode: Mode; score: Score; history: boolean[]; run: number; bestRun: number; day: Day | null; at: number };

/** Where one stands: in a daily round the ten, in an endless run its length, else right of all and the streak. */
export function ScoreLine({ mode, score, history, run, bestRun, day, at }: Props) {
  const t = useWords();
  if (mode === "daily" && day) {
    return (
      <div className="score">
        <p className="score-figures">
          <span>{t("daily_card", { at: at + 1, of: day.results.length })}</span>
        </p>
        <span className="dots" aria-hidden="true">
          {day.results.map((right, place) => (
            <i
              key={place}
              className={`dot dot-kept ${right === null ? (place === at ? "dot-now" : "dot-open") : right ? "dot-right" : "dot-wrong"}`}
            />
          ))}
        </span>
      </div>
    );
  }
  const endless = mode === "endless";
  const [now, best] = endless ? [run, bestRun] : [score.streak, score.best_streak];
  return (
    <div className="score">
      <p className="score-figures">
        {!endless && (
          <span>{t.rich("score_right", { right: <strong>{score.right}</strong>, total: score.total })}</span>
        )}
        <span className="score-streak">
          {t.rich(endless ? "run" : "streak", { count: <strong>{now}</strong> })}
          {best > now && <span className="soft"> · {t("best", { count: best })}</span>}
        </span>
      </p>
      <span className="dots" aria-hidden="true">
        {history.map((right, place) => (
          <i key={place} className={right ? "dot dot-right" : "dot dot-wrong"} />
        ))}
      </span>
    </div>
  );
}
