import { useId, useState } from "react";

import type { Network } from "../curate/api";
import { Counters } from "../curate/Counters";
import { Button } from "../ui/buttons";
import { bots, type BotEntry, type BotSummary } from "./api";
import { useAction } from "./useAction";

type Props = { bot: BotSummary; entry: BotEntry; onDone: () => void };

/** Networks whose limit is the same everywhere; a Mastodon server has its own, and tells it when it is asked. */
const LIMITS: Record<string, Network> = { bluesky: { name: "bluesky", limit: 300 }, x: { name: "x", limit: 280 } };

/** Other words for an entry; the receipt keeps what the model wrote. */
export function EntryEditor({ bot, entry, onDone }: Props) {
  const [text, setText] = useState(entry.text);
  const label = useId();
  const network = LIMITS[bot.network ?? ""];
  const save = useAction(() => bots.edit(bot.bot, entry.id, text));
  return (
    <form
      className="entry-editor"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === entry.text) onDone();
        else save.mutate(undefined, { onSuccess: onDone });
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") onDone();
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
      }}
    >
      <label htmlFor={label} className="small">
        Your words; the receipt says that they were edited
      </label>
      <textarea id={label} rows={3} dir="auto" maxLength={3000} value={text} autoFocus onChange={(event) => setText(event.target.value)} />
      {network && <Counters networks={[network]} text={text} />}
      {save.error && (
        <p className="problem" role="alert">
          {save.error.message}
        </p>
      )}
      <div className="row">
        <Button type="submit" size="compact" busy={save.isPending} disabled={!text.trim()}>
          Save
        </Button>
        <Button size="compact" look="outlined" onClick={onDone}>
          Cancel
        </Button>
      </div>
    </form>
  );
}
