import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useId, useState } from "react";

import { api, type Standing } from "../api";
import { type Key, percent, useWords } from "../i18n";
import { Button } from "../ui/buttons";

/** Both boards, and how to be on them. */
export default function Boards({ player }: { player: Standing | null }) {
  const t = useWords();
  const boards = useQuery({ queryKey: ["boards"], queryFn: api.boards, staleTime: 5_000 });
  if (boards.isError) return <p className="problem">{boards.error.message}</p>;
  if (!boards.data) return <p role="status">{t("loading")}</p>;
  const { ranked, casual } = boards.data;
  return (
    <div className="boards">
      {player && <Own player={player} />}
      <Board title={t("boards_ranked")} note={t("boards_ranked_note")} heads={[t("nick"), t("longest_run"), t("today")]}>
        {ranked.map((row) => [row.nick, row.best_run, row.today ?? "–"])}
      </Board>
      <Board title={t("boards_casual")} note={t("boards_casual_note")} heads={[t("nick"), t("share_right"), ""]}>
        {casual.map((row) => [row.nick, percent(t.language, row.right / row.total), `${row.right}/${row.total}`])}
      </Board>
    </div>
  );
}

type BoardProps = { title: string; note: string; heads: string[]; children: (string | number)[][] };

function Board({ title, note, heads, children }: BoardProps) {
  const t = useWords();
  return (
    <section>
      <h3>{title}</h3>
      <p className="soft small">{note}</p>
      {children.length === 0 ? (
        <p className="soft">{t("boards_empty")}</p>
      ) : (
        <table className="board">
          <thead>
            <tr>
              {heads.map((head, at) => (head ? <th key={at} scope="col">{head}</th> : <td key={at} />))}
            </tr>
          </thead>
          <tbody>
            {children.map((row) => (
              <tr key={row[0]}>
                {row.map((cell, at) => (
                  <td key={at}>{at === 0 ? <bdi>{cell}</bdi> : cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** The player's own nick and badges. */
function Own({ player }: { player: Standing }) {
  const t = useWords();
  const queries = useQueryClient();
  const field = useId();
  const [nick, setNick] = useState(player.nick ?? "");
  const save = useMutation({
    mutationFn: (wanted: string | null) => api.nick(wanted),
    onSuccess: (_, wanted) => {
      if (wanted === null) setNick("");
      void queries.invalidateQueries({ queryKey: ["boards"] });
      void queries.invalidateQueries({ queryKey: ["state"] });
    },
  });
  return (
    <section>
      <form
        className="nick"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate(nick);
        }}
      >
        <label htmlFor={field}>{t("nick")}</label>
        <input id={field} value={nick} maxLength={24} autoComplete="off" onChange={(event) => setNick(event.target.value)} />
        <Button type="submit" busy={save.isPending}>
          {t("nick_save")}
        </Button>
        {player.nick !== null && (
          <Button look="outlined" onClick={() => save.mutate(null)}>
            {t("nick_remove")}
          </Button>
        )}
      </form>
      <Said>{save.isError ? save.error.message : save.isSuccess ? t("nick_saved") : t("nick_note")}</Said>
      {player.badges.length > 0 && (
        <p className="badges">
          <span className="soft small">{t("badges")}</span>{" "}
          {player.badges.map((badge) => (
            <span key={badge} className="badge">
              {t(`badge_${badge}` as Key)}
            </span>
          ))}
        </p>
      )}
    </section>
  );
}

const Said = ({ children }: { children: ReactNode }) => (
  <p className="soft small" role="status">
    {children}
  </p>
);
