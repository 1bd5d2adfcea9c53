import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { WithCommands } from "../curate/Gate";
import { networkName } from "../networks";
import { Button, PlainButton } from "../ui/buttons";
import { bots, type BotSummary, moment, type Run } from "./api";
import { StateBadge } from "./BotCard";
import { CalendarView } from "./CalendarView";
import { Confirm } from "./Confirm";
import { DisclosureView } from "./DisclosureView";
import { PublishedView } from "./PublishedView";
import { QueueView } from "./QueueView";
import { useAction } from "./useAction";

const VIEWS = { queue: "Queue", calendar: "Calendar", published: "Published", disclosure: "Disclosure" } as const;
type View = keyof typeof VIEWS;
const REFRESH_MS = 10_000;

type Props = { summary: BotSummary; owner: boolean };

/** One bot: its switches, what is wrong with it, and its queue, calendar, publications and disclosure. */
export function BotView({ summary, owner }: Props) {
  const [view, setView] = useState<View>("queue");
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: false }), []);
  const detail = useQuery({
    queryKey: ["bot", summary.bot],
    queryFn: () => bots.one(summary.bot),
    refetchInterval: REFRESH_MS,
  });
  return (
    <section className="bot-view" aria-labelledby="bot-name">
      <a className="page-link back" href="#">
        ← All bots
      </a>
      <div className="bot-title">
        <h2 id="bot-name" ref={heading} tabIndex={-1}>
          {summary.bot}
        </h2>
        <StateBadge bot={summary} />
        <a className="page-link" href={`/bots/${encodeURIComponent(summary.bot)}`}>
          Public page
        </a>
      </div>
      <p className="soft small facts">
        <span>
          {networkName(summary.network)} <bdi className="name-cut">{summary.account}</bdi>
        </span>
        {summary.schedule && (
          <span>
            {summary.schedule} ({summary.time_zone})
          </span>
        )}
        {!summary.schedule && summary.configured && <span>no schedule: one post each time it is run</span>}
        {summary.run.at && (
          <span>
            last run {moment(summary.run.at, summary.time_zone)}: {(summary.run.state ?? "").replaceAll("_", " ")}
          </span>
        )}
      </p>
      <Switches summary={summary} owner={owner} />
      {summary.why && !summary.troubles.some((trouble) => trouble.kind === "account") && summary.state !== "gone" && (
        <p className="problem problem-quiet">
          {summary.why} {summary.held_until && `It goes on at ${moment(summary.held_until, summary.time_zone)}.`}
        </p>
      )}
      {summary.troubles.length > 0 && (
        <ul className="troubles" aria-label="What is wrong">
          {summary.troubles.map((trouble) => (
            <li key={trouble.kind} className={`problem${trouble.kind === "stock" ? " problem-quiet" : ""}`}>
              <p>
                {trouble.message}{" "}
                <span className="soft-on">
                  <WithCommands text={trouble.do} />
                </span>
              </p>
            </li>
          ))}
        </ul>
      )}
      <nav className="views bot-views" aria-label={`Views of ${summary.bot}`}>
        {(Object.keys(VIEWS) as View[]).map((name) => (
          <PlainButton key={name} className="view" aria-current={name === view ? "page" : undefined} onClick={() => setView(name)}>
            {VIEWS[name]}
            {name === "queue" && <span className="view-count">{summary.stock}</span>}
          </PlainButton>
        ))}
      </nav>
      {detail.error && !detail.data && (
        <div className="problem" role="alert">
          <p>{detail.error.message}</p>
          <Button size="small" look="outlined" onClick={() => void detail.refetch()}>
            Try again
          </Button>
        </div>
      )}
      {!detail.data && !detail.error && (
        <p className="waiting" role="status">
          Loading …
        </p>
      )}
      {detail.data && view === "queue" && <QueueView detail={detail.data} owner={owner} />}
      {view === "calendar" && <CalendarView bot={summary} />}
      {view === "published" && <PublishedView bot={summary} />}
      {detail.data && view === "disclosure" && <DisclosureView bot={summary} kept={detail.data.disclosure} owner={owner} />}
    </section>
  );
}

/** Pause, stop, go on, and (for the owner) publish what is due now. */
function Switches({ summary, owner }: Props) {
  const [asked, setAsked] = useState<"stop" | "publish" | "release" | null>(null);
  const turn = useAction((state: "active" | "paused" | "stopped") => bots.switchOne(summary.bot, state));
  const run = useAction(() => bots.publish(summary.bot));
  const release = useAction(() => bots.release(summary.bot));
  const closed = summary.state === "paused" || summary.state === "stopped" || summary.state === "held" || summary.state === "clock";
  const close = () => setAsked(null);
  if (!summary.configured) {
    if (!owner || !summary.stock) return null;
    return (
      <div className="row">
        <Button look="outlined" onClick={() => setAsked("release")}>
          Release its queue
        </Button>
        <Confirm
          opened={asked === "release"}
          title="Release the queue?"
          yes="Release"
          busy={release.isPending}
          error={release.error}
          onNo={close}
          onYes={() => release.mutate(undefined, { onSuccess: close })}
        >
          The {summary.stock} texts leave this queue, and other bots may publish them.
        </Confirm>
      </div>
    );
  }
  return (
    <div className="row">
      {closed && owner && (
        <Button busy={turn.isPending} onClick={() => turn.mutate("active")}>
          Resume
        </Button>
      )}
      {!closed && (
        <Button look="outlined" busy={turn.isPending} onClick={() => turn.mutate("paused")}>
          Pause
        </Button>
      )}
      {summary.state !== "stopped" && (
        <button type="button" className="danger-button" onClick={() => setAsked("stop")}>
          Stop
        </button>
      )}
      {owner && !closed && (
        <Button look="outlined" busy={run.isPending} onClick={() => setAsked("publish")}>
          {summary.schedule ? "Publish what is due" : "Publish one now"}
        </Button>
      )}
      {turn.error && <p className="problem" role="alert">{turn.error.message}</p>}
      {run.error && <p className="problem" role="alert">{run.error.message}</p>}
      {run.data && !run.isPending && <p role="status" className="soft small">{toldOf(run.data)}</p>}
      <Confirm
        opened={asked === "stop"}
        title={`Stop ${summary.bot}?`}
        yes="Stop it"
        busy={turn.isPending}
        error={turn.error}
        onNo={close}
        onYes={() => turn.mutate("stopped", { onSuccess: close })}
      >
        From this moment it publishes nothing, wherever it runs. Its queue stays as it is.
      </Confirm>
      <Confirm
        opened={asked === "publish"}
        title={summary.schedule ? "Publish what is due?" : "Publish one now?"}
        yes="Publish"
        busy={run.isPending}
        error={null}
        onNo={close}
        onYes={() => run.mutate(undefined, { onSettled: close })}
      >
        On {networkName(summary.network)}, as <bdi>{summary.account}</bdi>.
      </Confirm>
    </div>
  );
}

function toldOf(run: Run): string {
  const parts = [
    run.published.length ? `${run.published.length} published` : "",
    run.failed.length ? `${run.failed.length} failed` : "",
    run.unknown.length ? `${run.unknown.length} in doubt` : "",
  ].filter(Boolean);
  return parts.length ? `${parts.join(", ")}.` : `Nothing was published: ${run.why ?? run.state.replaceAll("_", " ")}.`;
}
