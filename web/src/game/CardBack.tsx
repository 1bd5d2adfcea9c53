import type { ReactNode } from "react";

import type { Sources } from "../api";
import { useWords } from "../i18n";
import { HeartIcon, ModelIcon } from "./icons";

type Props = { reveal: Sources; text: ReactNode };

/** The revealed side of a card. */
export function CardBack({ reveal, text }: Props) {
  const t = useWords();
  const { human, model, origin } = reveal;
  return (
    <article className={`card card-back card-${origin}`}>
      <div className="card-head">
        <span className={`avatar avatar-${origin}`} aria-hidden="true">
          {origin === "model" ? <ModelIcon size={24} /> : initial(human?.author)}
        </span>
        <span className="names">
          <bdi className="name ellipsis">{origin === "human" ? (human?.author ?? t("a_person")) : t("by_ai")}</bdi>
          <span className="handle">
            {origin === "human" ? t("a_real_post") : model ? <ModelNames model={model.model} account={model.account} /> : t("a_model")}
          </span>
        </span>
      </div>
      {text}
      <div className="card-foot">
        {human?.created_at && <time dateTime={human.created_at}>{day(human.created_at, t.language)}</time>}
        {human?.likes != null && (
          <span className="likes">
            <HeartIcon /> {human.likes.toLocaleString(t.language)} <span className="visually-hidden">{t("likes")}</span>
          </span>
        )}
        {human?.url && (
          <a href={human.url} target="_blank" rel="noopener noreferrer nofollow">
            {t("see_post")} <span className="visually-hidden">{t("new_tab")}</span>
          </a>
        )}
        {origin === "model" && <span>{t("nobody_said")}</span>}
        {!human && !model && <span>{t("removed")}</span>}
      </div>
    </article>
  );
}

function ModelNames({ model, account }: { model: string; account: string | null }) {
  const t = useWords();
  const name = <bdi>{model}</bdi>;
  return account
    ? t.rich("model_manner", { model: name, account: <bdi>{account}</bdi> })
    : t.rich("model_named", { model: name });
}

function initial(author: string | undefined): string {
  return [...(author ?? "?").replace(/^[^\p{L}\p{N}]+/u, "")][0]?.toUpperCase() ?? "?";
}

function day(moment: string, language: string): string {
  return new Date(moment).toLocaleDateString(language, { year: "numeric", month: "long", day: "numeric" });
}
