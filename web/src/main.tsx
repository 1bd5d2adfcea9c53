import "@fontsource-variable/figtree/wght.css";
import "@fontsource-variable/fraunces/wght.css";
import "./ui/base.css";
import "./ui/buttons.css";
import "./game/game.css";
import "./game/modes.css";

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type ComponentType, lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";

import { api, type GameState } from "./api";
import { askAhead } from "./game/ahead";
import { GamePage } from "./game/GamePage";
import { LanguageProvider } from "./i18n";
import { startColours } from "./ui/colours";

const queries = new QueryClient({
  defaultOptions: {
    queries: { networkMode: "always", refetchOnWindowFocus: false, retry: 1, retryDelay: 400 },
    mutations: { networkMode: "always" },
  },
});
/** Pages by path; any other is the game. Those that only a few people see are loaded when they do. */
const pages: Record<string, ComponentType> = {
  "/curate": lazy(() => import("./curate/CuratePage")),
  "/bots": lazy(() => import("./bots/BotsPage")),
};
const PublicBotPage = lazy(() => import("./bots/PublicBotPage"));
const path = window.location.pathname.replace(/\/+$/, "");
const Page = pages[path] ?? (path.startsWith("/bots/") ? PublicBotPage : GamePage);
const FIRST_STATE_MS = 150;

function draw() {
  createRoot(document.getElementById("root")!).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <LanguageProvider>
          <Suspense>
            <Page />
          </Suspense>
        </LanguageProvider>
      </QueryClientProvider>
    </StrictMode>,
  );
}

startColours();
if (Page === GamePage) {
  // What the page starts with was asked for before the scripts were: waiting a moment for it spares drawing the page twice.
  // Not by `await`, which would make the build cut the scripts into many files.
  const asked = queries
    .prefetchQuery({ queryKey: ["state"], queryFn: api.state })
    .then(() => askAhead(queries.getQueryData<GameState>(["state"])));
  void Promise.race([asked, new Promise((go) => setTimeout(go, FIRST_STATE_MS))]).then(draw);
} else {
  draw();
}
