import "../curate/curate.css";
import "./bots.css";

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState, useSyncExternalStore } from "react";

import { enter, Gate, isRefusal, LOOK_AGAIN_MS, WithCommands } from "../curate/Gate";
import { ColourToggle } from "../game/Header";
import { Button } from "../ui/buttons";
import { bots, type BotsState } from "./api";
import { BotCard } from "./BotCard";
import { BotView } from "./BotView";
import { Confirm } from "./Confirm";
import { useAction } from "./useAction";

const REFRESH_MS = 10_000;

const hash = {
  subscribe: (changed: () => void) => {
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  },
  snapshot: () => decodeURIComponent(window.location.hash.slice(1)),
};

/** Every bot of the workspace, and the one that was chosen (`/bots#name`) or is the only one. */
export default function BotsPage() {
  useEffect(() => {
    document.title = "Bots · Pasquin";
  }, []);
  const state = useQuery({
    queryKey: ["bots"],
    queryFn: () => enter(bots.all),
    retry: false,
    refetchInterval: (query) =>
      query.state.error ? (isRefusal(query.state.error) ? false : LOOK_AGAIN_MS) : REFRESH_MS,
  });
  const { refetch } = state;
  useEffect(() => {
    const look = () => void refetch();
    for (const event of ["online", "offline"]) window.addEventListener(event, look);
    return () => ["online", "offline"].forEach((event) => window.removeEventListener(event, look));
  }, [refetch]);
  if (!state.data || (state.error && isRefusal(state.error))) return <Gate state={state} title="Sign in to see the bots" kept="" />;
  return <Bots state={state.data} stale={state.error ? state.dataUpdatedAt : null} />;
}

function Bots({ state, stale }: { state: BotsState; stale: number | null }) {
  const chosen = useSyncExternalStore(hash.subscribe, hash.snapshot);
  const lone = !chosen && state.bots.length === 1 ? state.bots[0] : undefined;
  const bot = state.bots.find((one) => one.bot === chosen) ?? lone;
  return (
    <div className={`page curate bots${bot && bot !== lone ? " bots-chosen" : ""}`}>
      <header className="header curate-header">
        <div className="wordmark">Pasquin</div>
        <div className="header-tools">
          <a className="page-link" href="/curate">
            Curate
          </a>
          <ColourToggle />
        </div>
      </header>
      <main className="curate-main">
        <div className="bots-top">
          <h1>{state.bots.length ? "Bots" : "No bots yet"}</h1>
          {state.bots.length > 0 && <AllSwitch state={state} />}
        </div>
        {stale !== null && (
          <p className="problem problem-quiet" role="status">
            No connection. This is how things were at {new Date(stale).toLocaleTimeString()}; the page keeps trying.
          </p>
        )}
        {state.problem && (
          <p className="problem" role="alert">
            <WithCommands text={state.problem} /> Until then nothing is published.
          </p>
        )}
        {state.bots.length === 0 && !state.problem && <NoBots />}
        {state.bots.length > 0 && (
          <div className="bots-columns">
            <nav className="bot-list" aria-label="Bots">
              <ul>
                {state.bots.map((one) => (
                  <li key={one.bot}>
                    <BotCard bot={one} chosen={one.bot === bot?.bot} />
                  </li>
                ))}
              </ul>
            </nav>
            {bot ? (
              <BotView key={bot.bot} summary={bot} owner={state.curator.owner} />
            ) : (
              <p className="soft bots-hint">{chosen ? "There is no such bot (any more). " : ""}Choose a bot to see its queue.</p>
            )}
          </div>
        )}
      </main>
    </div>
  );
}

/** The kill switch of all bots. Everybody may stop them; the owner lets them go on. */
function AllSwitch({ state }: { state: BotsState }) {
  const [asked, setAsked] = useState(false);
  const turn = useAction(bots.switchAll);
  if (state.stopped) {
    return (
      <div className="problem all-stopped" role="alert">
        <p>
          <b>All bots are stopped.</b> {state.why} Nothing is published, wherever they run.
        </p>
        {state.curator.owner ? (
          <Button busy={turn.isPending} onClick={() => turn.mutate("active")}>
            Let them go on
          </Button>
        ) : (
          <p>Only the owner lets them go on.</p>
        )}
        {turn.error && <p>{turn.error.message}</p>}
      </div>
    );
  }
  return (
    <>
      <button type="button" className="danger-button" onClick={() => setAsked(true)}>
        Stop all bots
      </button>
      <Confirm
        opened={asked}
        title="Stop all bots?"
        yes="Stop all"
        busy={turn.isPending}
        error={turn.error}
        onNo={() => setAsked(false)}
        onYes={() => turn.mutate("stopped", { onSuccess: () => setAsked(false) })}
      >
        From this moment nothing is published, wherever the bots run. Their queues stay as they are.
      </Confirm>
    </>
  );
}

function NoBots() {
  return (
    <section className="notice notice-quiet">
      <div className="notice-text">
        <p>A bot is an account that publishes what was accepted, on a schedule. Each is a table in pasquin.toml:</p>
        <pre className="example">{`[bots.mybot]
network = "file"
account = "out.jsonl"
models = ["vc"]
schedule = "3 a day between 9 and 22 with jitter"
time_zone = "Europe/Rome"`}</pre>
        <p>This page notices by itself when there is one. docs/bots.md has all that can be set.</p>
      </div>
    </section>
  );
}
