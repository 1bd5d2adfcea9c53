import { useState } from "react";

import { Button } from "../ui/buttons";
import { bots, type BotDetail, type BotEntry, type BotSummary, moment } from "./api";
import { DoubtList } from "./DoubtList";
import { EntryEditor } from "./EntryEditor";
import { useAction } from "./useAction";
import { useOrder } from "./useOrder";

/** What waits, in the order it comes out; before that, what needs a person. */
export function QueueView({ detail, owner }: { detail: BotDetail; owner: boolean }) {
  const { summary, waiting, doubt, failed } = detail;
  return (
    <div className="queue-view">
      {doubt.length > 0 && <DoubtList bot={summary} entries={doubt} owner={owner} />}
      {failed.length > 0 && <FailedList bot={summary} entries={failed} />}
      {(doubt.length > 0 || failed.length > 0) && waiting.length > 0 && <h3>What waits</h3>}
      {waiting.length === 0 && (
        <section className="notice notice-quiet">
          <div className="notice-text">
            <p>
              Nothing waits. {summary.configured && <>What you accept under <a href="/curate">Curate</a> comes in with the bot's next run.</>}
            </p>
          </div>
        </section>
      )}
      {waiting.length > 0 && <WaitingList bot={summary} waiting={waiting} />}
      {summary.stock > waiting.length && <p className="soft">… and {summary.stock - waiting.length} more.</p>}
    </div>
  );
}

function WaitingList({ bot, waiting }: { bot: BotSummary; waiting: BotEntry[] }) {
  const move = useAction(({ id, before }: { id: string; before: string | null }) => bots.move(bot.bot, id, before), "move");
  const order = useOrder(waiting, move.isPending, (id, before) => move.mutate({ id, before }));
  const [editing, setEditing] = useState<string | null>(null);
  return (
    <>
      <p className="soft small" id="how-to-order">
        Drag by the handle, or move it with the arrow keys (Home and End: first and last). Slots are given in this order.
      </p>
      <p className="visually-hidden" role="status">
        {order.said}
      </p>
      {move.error && (
        <p className="problem" role="alert">
          It was not moved: {move.error.message}
        </p>
      )}
      <ol className="queue" ref={order.list}>
        {order.entries.map((entry, place) => (
          <li key={entry.id} className={`entry${order.dragged === entry.id ? " entry-dragged" : ""}`} data-entry={entry.id}>
            <button
              type="button"
              className="handle"
              aria-label={`Move number ${place + 1} of ${order.entries.length}: ${entry.text.slice(0, 60)}`}
              aria-describedby="how-to-order"
              {...order.handle(entry.id)}
            >
              <span aria-hidden="true">⠿</span>
            </button>
            <div className="entry-body">
              {editing === entry.id ? (
                <EntryEditor bot={bot} entry={entry} onDone={() => setEditing(null)} />
              ) : (
                <>
                  <p className="entry-text" dir="auto">
                    {entry.text}
                  </p>
                  <EntryFoot entry={entry} zone={bot.time_zone}>
                    {entry.due_at ? moment(waiting[place]?.due_at ?? entry.due_at, bot.time_zone) : bot.schedule ? "no slot yet" : `number ${place + 1}`}
                  </EntryFoot>
                </>
              )}
            </div>
            {editing !== entry.id && <EntryActions bot={bot} entry={entry} onEdit={() => setEditing(entry.id)} />}
          </li>
        ))}
      </ol>
    </>
  );
}

function EntryFoot({ entry, children }: { entry: BotEntry; zone: string; children: React.ReactNode }) {
  return (
    <p className="soft small facts">
      <span className="slot">{children}</span>
      {entry.curator && (
        <span>
          {entry.edited ? "edited by" : "accepted by"} <bdi className="name-cut">{entry.curator}</bdi>
        </span>
      )}
      {entry.reason && entry.state === "approved" && <span>{entry.reason}</span>}
    </p>
  );
}

function EntryActions({ bot, entry, onEdit }: { bot: BotSummary; entry: BotEntry; onEdit: () => void }) {
  const withdraw = useAction(() => bots.withdraw(bot.bot, entry.id));
  return (
    <div className="row entry-actions">
      {bot.configured && (
        <Button size="compact" look="outlined" onClick={onEdit} aria-label={`Edit: ${entry.text.slice(0, 60)}`}>
          Edit
        </Button>
      )}
      <Button
        size="compact"
        look="outlined"
        busy={withdraw.isPending}
        onClick={() => withdraw.mutate(undefined)}
        aria-label={`Take out: ${entry.text.slice(0, 60)}`}
      >
        Take out
      </Button>
      {withdraw.error && <span role="alert">{withdraw.error.message}</span>}
    </div>
  );
}

/** What the network would not have. */
function FailedList({ bot, entries }: { bot: BotSummary; entries: BotEntry[] }) {
  return (
    <section aria-labelledby="failed-title">
      <h3 id="failed-title">The network will not have these</h3>
      <ul className="queue">
        {entries.map((entry) => (
          <Failed key={entry.id} bot={bot} entry={entry} />
        ))}
      </ul>
    </section>
  );
}

function Failed({ bot, entry }: { bot: BotSummary; entry: BotEntry }) {
  const [editing, setEditing] = useState(false);
  const retry = useAction(() => bots.retry(bot.bot, entry.id));
  return (
    <li className="entry entry-failed">
      <div className="entry-body">
        {editing ? (
          <EntryEditor bot={bot} entry={entry} onDone={() => setEditing(false)} />
        ) : (
          <>
            <p className="entry-text" dir="auto">
              {entry.text}
            </p>
            <p className="small">{entry.reason}</p>
          </>
        )}
        {retry.error && <p role="alert">{retry.error.message}</p>}
      </div>
      {!editing && (
        <div className="row entry-actions">
          <Button size="compact" look="outlined" busy={retry.isPending} onClick={() => retry.mutate(undefined)}>
            Try again
          </Button>
          <EntryActions bot={bot} entry={entry} onEdit={() => setEditing(true)} />
        </div>
      )}
    </li>
  );
}
