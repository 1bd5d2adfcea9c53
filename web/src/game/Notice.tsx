import type { ReactNode } from "react";

type Props = { title: string; tone: "quiet" | "trouble"; children: ReactNode; action?: ReactNode };

/** A state in which there is nothing to guess: says why, and what helps. */
export function Notice({ title, tone, children, action }: Props) {
  return (
    <section className={`notice notice-${tone}`} role={tone === "trouble" ? "alert" : "status"}>
      <h1>{title}</h1>
      <div className="notice-text">{children}</div>
      {action && <div className="notice-action">{action}</div>}
    </section>
  );
}
