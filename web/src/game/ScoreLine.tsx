import type { Score } from "../api";

type Props = { score: Score; history: boolean[] };

/** Right of all, the streak, and the last guesses as dots. */
export function ScoreLine({ score, history }: Props) {
  return (
    <div className="score">
      <p className="score-figures">
        <span>
          <strong>{score.right}</strong> of {score.total} right
        </span>
        <span className="score-streak">
          Streak <strong>{score.streak}</strong>
          {score.best_streak > score.streak && <span className="soft"> · best {score.best_streak}</span>}
        </span>
      </p>
      <span className="dots" aria-hidden="true">
        {history.map((right, at) => (
          <i key={at} className={right ? "dot dot-right" : "dot dot-wrong"} />
        ))}
      </span>
    </div>
  );
}
