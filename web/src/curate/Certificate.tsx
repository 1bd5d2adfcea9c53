import type { Candidate } from "./api";
import { Marked } from "./PostText";

/** The novelty certificate: the real post that comes closest, with what both share highlighted. */
export function Certificate({ candidate }: { candidate: Candidate }) {
  const { nearest, run } = candidate;
  if (!nearest) {
    return (
      <aside className="certificate" aria-label="Novelty certificate">
        <h2>Novel</h2>
        <p className="soft small">No collected post comes near this text.</p>
      </aside>
    );
  }
  return (
    <aside className="certificate" aria-label="Novelty certificate">
      <h2>Nearest real post</h2>
      <p className="soft small figures">
        {Math.round(candidate.similarity * 100)}% alike · longest shared run {candidate.longest_run} characters
      </p>
      <div className="alike" aria-hidden="true">
        <span style={{ width: `${Math.round(candidate.similarity * 100)}%` }} />
      </div>
      <blockquote dir="auto">
        <Marked text={nearest.text} run={run?.post} />
      </blockquote>
      <p className="soft small by">
        <bdi>{nearest.author}</bdi>
        {nearest.url && (
          <>
            {" · "}
            <a href={nearest.url} target="_blank" rel="noreferrer noopener nofollow">
              See the post
            </a>
          </>
        )}
      </p>
      {run && (
        <p className="small shared">
          Shared, in the candidate: <q dir="auto">{[...candidate.text].slice(run.candidate.begin, run.candidate.end).join("")}</q>
        </p>
      )}
    </aside>
  );
}
