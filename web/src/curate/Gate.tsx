import type { UseQueryResult } from "@tanstack/react-query";

import { ApiError } from "../api";
import { ColourToggle } from "../game/Header";
import { Notice } from "../game/Notice";
import { Button } from "../ui/buttons";
import { curation } from "./api";

export const LOOK_AGAIN_MS = 4_000;

/** Sign in with the link's token, if the address has one, then ask what the page is about. */
export async function enter<T>(ask: () => Promise<T>): Promise<T> {
  const token = new URLSearchParams(window.location.hash.slice(1)).get("sign-in");
  if (token) {
    window.history.replaceState(null, "", window.location.pathname);
    try {
      await curation.signIn(token);
    } catch (error) {
      // A used link is no trouble for somebody who is signed in already.
      return ask().catch(() => Promise.reject(error as Error));
    }
  }
  return ask();
}

export function isRefusal(error: Error): boolean {
  return error instanceof ApiError && !error.transient;
}

type Props = { state: UseQueryResult<unknown>; title: string; kept: string };

/** What a page of signed-in people shows before there is anything to show: loading, who is nobody, no server. */
export function Gate({ state, title, kept }: Props) {
  const { error } = state;
  return (
    <div className="page">
      <header className="header">
        <div className="wordmark">Pasquin</div>
        <div className="header-tools">
          <ColourToggle />
        </div>
      </header>
      <main className="main">
        {!error && (
          <p className="waiting" role="status">
            Loading …
          </p>
        )}
        {error && isRefusal(error) && (
          <Notice title={title} tone="quiet" action={<Button onClick={() => void state.refetch()}>Try again</Button>}>
            <p>
              <WithCommands text={error.message} />
            </p>
          </Notice>
        )}
        {error && !isRefusal(error) && (
          <Notice title="The server is out of reach" tone="trouble" action={<Button onClick={() => void state.refetch()}>Try again now</Button>}>
            {error.message} This page keeps trying by itself{kept}.
          </Notice>
        )}
      </main>
    </div>
  );
}

/** A message with the commands in it (between backticks) set as such. */
export function WithCommands({ text }: { text: string }) {
  return text.split("`").map((part, place) =>
    place % 2 ? (
      <code key={place} className="command">
        {part}
      </code>
    ) : (
      part
    ),
  );
}
