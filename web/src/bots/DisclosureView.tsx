import { WithCommands } from "../curate/Gate";
import { Button } from "../ui/buttons";
import { bots, type BotChecks, type BotSummary, moment } from "./api";
import { useAction } from "./useAction";

type Props = { bot: BotSummary; kept: BotChecks; owner: boolean };

/** What a bot must say of itself: what was found last, what to do, and a look at the network now. */
export function DisclosureView({ bot, kept, owner }: Props) {
  const check = useAction(() => bots.check(bot.bot));
  const setUp = useAction(() => bots.setUp(bot.bot));
  const told = check.data ?? kept;
  const missing = told.checks?.filter((one) => !one.holds).length ?? 0;
  return (
    <section className="disclosure-view" aria-label="Disclosure">
      {told.checks === null && <p>Nobody has looked at its profile yet. Before every publication that happens by itself.</p>}
      {told.checks !== null && (
        <p role="status">
          <b>{missing ? `${missing} of ${told.checks.length} checks do not hold: nothing is published.` : "It says what it must."}</b>{" "}
          <span className="soft small">Looked at {moment(told.checked_at, bot.time_zone)}.</span>
        </p>
      )}
      {told.checks && (
        <ul className="checks">
          {told.checks.map((one) => (
            <li key={one.name} className={one.holds ? "check-holds" : "check-fails"}>
              <span className="check-mark" aria-hidden="true">
                {one.holds ? "✓" : "✗"}
              </span>
              <div>
                <p>
                  <b>{one.name}</b> <span className="visually-hidden">{one.holds ? "holds" : "does not hold"}</span> {one.found}
                </p>
                {!one.holds && one.do && (
                  <p className="small">
                    <WithCommands text={one.do} />
                  </p>
                )}
              </div>
            </li>
          ))}
        </ul>
      )}
      <div className="row">
        <Button busy={check.isPending} onClick={() => check.mutate(undefined)}>
          Check now
        </Button>
        {owner && (
          <Button look="outlined" busy={setUp.isPending} onClick={() => setUp.mutate(undefined)}>
            Write bio, flag and picture
          </Button>
        )}
      </div>
      {[check.error, setUp.error].map(
        (error, place) =>
          error && (
            <p key={place} className="problem" role="alert">
              <WithCommands text={error.message} />
            </p>
          ),
      )}
      {setUp.data && (
        <div className="problem problem-quiet" role="status">
          <p>
            The bio: <q dir="auto">{setUp.data.bio}</q>
          </p>
          <ul>
            {setUp.data.done.map((one) => (
              <li key={one}>Done: {one}.</li>
            ))}
            {setUp.data.by_hand.map((one) => (
              <li key={one}>By hand: {one}</li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
