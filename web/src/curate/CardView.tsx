import { type ReactNode, useMemo, useState } from "react";

import { Notice } from "../game/Notice";
import { useSwipe } from "../game/useSwipe";
import { networkName } from "../networks";
import { Button, PlainButton } from "../ui/buttons";
import type { Candidate } from "./api";
import { Certificate } from "./Certificate";
import { Counters } from "./Counters";
import { Editor } from "./Editor";
import { PostText } from "./PostText";
import type { Session } from "./session";
import { useKeys } from "./useKeys";

const LONG = 160;
const VERY_LONG = 420;

/** One candidate at a time: look, decide, next. */
export function CardView({ session }: { session: Session }) {
  const [editing, setEditing] = useState(false);
  const { current, state } = session;
  const actions = useMemo(() => {
    const decide = (decision: "accept" | "reject" | "skip", reason?: string) => () =>
      session.decide(decision, reason ? { reason } : {});
    const reasons = state.reasons.map((reason, place) => [String(place + 1), decide("reject", reason)] as const);
    return {
      a: decide("accept"),
      ArrowRight: decide("accept"),
      r: decide("reject"),
      ArrowLeft: decide("reject"),
      s: decide("skip"),
      ArrowDown: decide("skip"),
      e: () => session.current && setEditing(true),
      u: () => session.undo(),
      z: () => session.undo(),
      Backspace: () => session.undo(),
      ...Object.fromEntries(reasons),
    };
  }, [session, state]);
  useKeys(actions);

  return (
    <section className="desk" aria-label="Curation">
      <h1 className="visually-hidden">Which candidates are good?</h1>
      <p className="visually-hidden" role="status">
        {session.last ? `${session.last}. ` : ""}
        {current ? current.text : ""}
      </p>
      {current ? (
        <>
          <div className="desk-card">
            <Swipeable key={current.id} candidate={current} session={session} disabled={editing}>
              {editing ? (
                <Editor
                  candidate={current}
                  networks={state.networks}
                  onSave={(text) => {
                    setEditing(false);
                    session.decide("edit", { text });
                  }}
                  onCancel={() => setEditing(false)}
                />
              ) : (
                <Preview candidate={current} session={session} />
              )}
            </Swipeable>
            {!editing && <Reasons session={session} />}
          </div>
          <Certificate candidate={current} />
        </>
      ) : (
        <Nothing session={session} />
      )}
      {!editing && session.progress.candidates > 0 && <Actions session={session} onEdit={() => setEditing(true)} />}
    </section>
  );
}

function Swipeable({ candidate, session, disabled, children }: { candidate: Candidate; session: Session; disabled: boolean; children: ReactNode }) {
  const swipe = useSwipe<"reject" | "accept">(!disabled, ["reject", "accept"], (decision) => session.decide(decision));
  const style = swipe.offset
    ? { transform: `translateX(${swipe.offset}px) rotate(${swipe.offset / 28}deg)`, transition: "none" }
    : undefined;
  return (
    <div className="card-place" {...swipe.handlers} style={style} data-candidate={candidate.id}>
      {children}
      {swipe.offset !== 0 && (
        <span className={`lean ${swipe.offset < 0 ? "lean-left" : "lean-right"}${swipe.leaning ? " lean-set" : ""}`} aria-hidden="true">
          {swipe.offset < 0 ? "Reject" : "Accept"}
        </span>
      )}
    </div>
  );
}

/** The candidate as it would look on the first of the networks. */
function Preview({ candidate, session }: { candidate: Candidate; session: Session }) {
  const size = candidate.text.length > VERY_LONG ? " text-very-long" : candidate.text.length > LONG ? " text-long" : "";
  const network = session.state.networks[0];
  const name = candidate.account ?? candidate.model;
  return (
    <article className="card preview" aria-label="Candidate">
      <div className="card-head">
        <span className="avatar avatar-model" aria-hidden="true">
          {[...name][0]?.toUpperCase()}
        </span>
        <span className="names">
          <span className="name">
            <bdi className="name-cut">{name}</bdi> <span className="bot-badge">AI parody</span>
          </span>
          <span className="handle">
            <bdi>{candidate.account ? `by the model ${candidate.model}` : "by the model"}</bdi> · now
          </span>
        </span>
        {candidate.decided && <Badge candidate={candidate} />}
      </div>
      <p className={`text${size}`} dir="auto" tabIndex={candidate.text.length > VERY_LONG ? 0 : undefined}>
        <PostText text={candidate.text} />
      </p>
      <div className="card-foot">
        {network && <span className="network">as on {networkName(network.name)}</span>}
        <Counters networks={session.state.networks} text={candidate.text} />
      </div>
    </article>
  );
}

export function Badge({ candidate }: { candidate: Candidate }) {
  const { decided } = candidate;
  if (!decided) return null;
  const words = { accept: "accepted", edit: "edited", reject: "rejected", skip: "skipped before" }[decided.decision];
  return (
    <span className={`badge badge-${decided.decision}`}>
      {words}
      {!decided.mine && (
        <>
          {" by "}
          <bdi>{decided.curator}</bdi>
        </>
      )}
    </span>
  );
}

function Reasons({ session }: { session: Session }) {
  return (
    <div className="reasons" role="group" aria-label="Reject, and say why">
      {session.state.reasons.map((reason, place) => (
        <PlainButton
          key={reason}
          className="reason"
          aria-keyshortcuts={String(place + 1)}
          onClick={() => session.decide("reject", { reason })}
        >
          <kbd aria-hidden="true">{place + 1}</kbd> {reason}
        </PlainButton>
      ))}
    </div>
  );
}

function Actions({ session, onEdit }: { session: Session; onEdit: () => void }) {
  const none = !session.current;
  return (
    <div className="actions" role="group" aria-label="Decide">
      <Action tint="reject" keys="R" label="Reject" disabled={none} onClick={() => session.decide("reject")} />
      <Action tint="skip" keys="S" label="Skip" disabled={none} onClick={() => session.decide("skip")} />
      <Action tint="undo" keys="U" label="Undo" disabled={false} onClick={() => session.undo()} />
      <Action tint="edit" keys="E" label="Edit" disabled={none} onClick={onEdit} />
      <Action tint="accept" keys="A" label="Accept" disabled={none} onClick={() => session.decide("accept")} />
    </div>
  );
}

type ActionProps = { tint: string; keys: string; label: string; disabled: boolean; onClick: () => void };

function Action({ tint, keys, label, disabled, onClick }: ActionProps) {
  return (
    <PlainButton className={`action action-${tint}`} aria-keyshortcuts={keys} aria-disabled={disabled} onClick={() => !disabled && onClick()}>
      <span>{label}</span>
      <kbd aria-hidden="true">{keys}</kbd>
    </PlainButton>
  );
}

function Nothing({ session }: { session: Session }) {
  const filtered = Object.values(session.filters).some(Boolean);
  if (!session.loaded) {
    return (
      <div className="desk-wide waiting" role="status">
        Loading …
      </div>
    );
  }
  if (!session.connected) {
    return (
      <div className="desk-wide">
        <Notice title="No more without a connection" tone="quiet">
          <p>
            {session.unsent} of your decisions are kept in this browser. They are sent, and the next candidates fetched, when the
            connection is back.
          </p>
        </Notice>
      </div>
    );
  }
  return (
    <div className="desk-wide">
      {session.state.progress.candidates === 0 && !filtered ? (
        <Notice title="No candidates yet" tone="quiet">
          <p>
            Next: <code className="command">pasquin generate NAME</code>
          </p>
          <p className="soft">This page looks again every few seconds.</p>
        </Notice>
      ) : (
        <Notice
          title={filtered ? "Nothing left with these filters" : session.toGo > 0 ? "Nothing more just now" : "Everything is decided"}
          tone="quiet"
          action={filtered && <Button onClick={() => session.setFilters({})}>Show all candidates</Button>}
        >
          <p>
            {session.toGo > 0 && !filtered && "What is left is with other curators, or on its way. "}
            {session.progress.accepted} accepted, {session.progress.rejected} rejected of {session.progress.candidates}. New candidates
            appear here by themselves.
          </p>
        </Notice>
      )}
    </div>
  );
}
