import { useQuery } from "@tanstack/react-query";

import { Notice } from "../game/Notice";
import { Button } from "../ui/buttons";
import { curation, type Together } from "./api";
import { PostText } from "./PostText";
import type { Session } from "./session";

/** How far several curators agree, and where they do not. */
export function TogetherView({ session }: { session: Session }) {
  const result = useQuery({ queryKey: ["together"], queryFn: curation.together, refetchOnMount: "always" });
  if (result.isError) {
    return (
      <Notice title="The figures did not come" tone="trouble" action={<Button onClick={() => void result.refetch()}>Try again</Button>}>
        {result.error.message}
      </Notice>
    );
  }
  if (!result.data) return <p className="waiting">Loading …</p>;
  return (
    <section className="together">
      <h1>Together</h1>
      <p className="soft">
        Every curator decides on the same {result.data.overlap}% of the candidates. Kappa is how far they agree beyond chance: 1 is always, 0 no
        more than chance would give.
      </p>
      {result.data.kappas.length === 0 ? (
        <p>
          Nobody else has decided on the same candidates yet. Invite somebody: <code className="command">pasquin curate --invite NAME</code>
        </p>
      ) : (
        <Kappas kappas={result.data.kappas} />
      )}
      <p>
        <a href="/api/curation/sheet" download>
          All decisions as a spreadsheet (CSV)
        </a>
      </p>
      {result.data.disagreements.length > 0 && (
        <>
          <h2>Where you disagree ({result.data.disagreements.length})</h2>
          <ul className="disagreements">
            {result.data.disagreements.map(({ candidate, decisions }) => (
              <li key={candidate.id}>
                <p className="disagreement-text" dir="auto">
                  <PostText text={candidate.text} />
                </p>
                <p className="small soft">
                  {decisions.map((decided) => (
                    <span key={decided.number} className={`badge badge-${decided.decision}`}>
                      <bdi>{decided.curator}</bdi>: {decided.decision}
                      {decided.reason && ` (${decided.reason})`}
                    </span>
                  ))}
                </p>
                <div className="disagreement-buttons">
                  <Button size="small" look="outlined" onClick={() => settle(session, candidate, "accept", () => void result.refetch())}>
                    Accept
                  </Button>
                  <Button size="small" look="outlined" onClick={() => settle(session, candidate, "reject", () => void result.refetch())}>
                    Reject
                  </Button>
                </div>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function settle(session: Session, candidate: Together["disagreements"][number]["candidate"], decision: "accept" | "reject", then: () => void) {
  session.decideOn(candidate, decision, { via: "list", seconds: 0 });
  void session.flush().then(then);
}

function Kappas({ kappas }: { kappas: Together["kappas"] }) {
  return (
    <table className="kappas">
      <thead>
        <tr>
          <th scope="col">Curators</th>
          <th scope="col">Decided by all of them</th>
          <th scope="col">Same decision</th>
          <th scope="col">Kappa (95% interval)</th>
        </tr>
      </thead>
      <tbody>
        {kappas.map((kappa) => (
          <tr key={kappa.curators.join()}>
            <th scope="row">
              <bdi>{kappa.curators.join(", ")}</bdi>
            </th>
            <td>{kappa.n}</td>
            <td>{kappa.observed === null ? "–" : `${Math.round(kappa.observed * 100)}%`}</td>
            <td>
              {kappa.value === null ? "not defined" : kappa.value.toFixed(2)}
              {kappa.low !== null && kappa.high !== null && ` (${kappa.low.toFixed(2)} to ${kappa.high.toFixed(2)})`}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
