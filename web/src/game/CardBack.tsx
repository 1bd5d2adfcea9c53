import type { ReactNode } from "react";

import type { Reveal } from "../api";
import { HeartIcon, ModelIcon } from "./icons";

type Props = { reveal: Reveal; text: ReactNode };

/** The revealed side of a card. */
export function CardBack({ reveal, text }: Props) {
  const { human, model, origin } = reveal;
  return (
    <article className={`card card-back card-${origin}`}>
      <div className="card-head">
        <span className={`avatar avatar-${origin}`} aria-hidden="true">
          {origin === "model" ? <ModelIcon size={24} /> : initial(human?.author)}
        </span>
        <span className="names">
          <bdi className="name ellipsis">{origin === "human" ? (human?.author ?? "A person") : "Written by AI"}</bdi>
          <span className="handle">
            {origin === "human" ? "a real post" : model ? <ModelNames model={model.model} account={model.account} /> : "a model"}
          </span>
        </span>
      </div>
      {text}
      <div className="card-foot">
        {human?.created_at && <time dateTime={human.created_at}>{day(human.created_at)}</time>}
        {human?.likes != null && (
          <span className="likes">
            <HeartIcon /> {human.likes.toLocaleString()} <span className="visually-hidden">likes</span>
          </span>
        )}
        {human?.url && (
          <a href={human.url} target="_blank" rel="noopener noreferrer nofollow">
            See the post<span className="visually-hidden"> (opens a new tab)</span>
          </a>
        )}
        {origin === "model" && <span>Nobody said this.</span>}
        {!human && !model && <span>It has been removed since you saw it.</span>}
      </div>
    </article>
  );
}

function ModelNames({ model, account }: { model: string; account: string | null }) {
  return (
    <>
      model “<bdi>{model}</bdi>”
      {account && (
        <>
          , in the manner of <bdi>{account}</bdi>
        </>
      )}
    </>
  );
}

function initial(author: string | undefined): string {
  return [...(author ?? "?").replace(/^[^\p{L}\p{N}]+/u, "")][0]?.toUpperCase() ?? "?";
}

function day(moment: string): string {
  return new Date(moment).toLocaleDateString(undefined, { year: "numeric", month: "long", day: "numeric" });
}
