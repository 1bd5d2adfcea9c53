import { type RefObject, useEffect, useState } from "react";

import type { Filters } from "./api";
import type { Session } from "./session";

type Props = { session: Session; search: RefObject<HTMLInputElement | null>; statuses: boolean };

const TYPING_MS = 250;

/** Which candidates to look at: about something, of a model, of an account, of a length. */
export function FilterBar({ session, search, statuses }: Props) {
  const { models, accounts } = session.state;
  const { filters } = session;
  const [about, setAbout] = useState(filters.about ?? "");
  const set = (change: Filters) => session.setFilters({ ...filters, ...change });
  useEffect(() => setAbout(filters.about ?? ""), [filters.about]);
  useEffect(() => {
    if (about === (filters.about ?? "")) return;
    const timer = setTimeout(() => set({ about }), TYPING_MS);
    return () => clearTimeout(timer);
  });
  return (
    <form className="filters" role="search" aria-label="Filter the candidates" onSubmit={(event) => event.preventDefault()}>
      <label className="filter filter-about">
        <span>About</span>
        <input
          ref={search}
          type="search"
          placeholder="words"
          maxLength={200}
          value={about}
          onChange={(event) => setAbout(event.target.value)}
          onKeyDown={(event) => ["Escape", "Enter"].includes(event.key) && event.currentTarget.blur()}
        />
      </label>
      {models.length > 1 && <Choice label="Model" value={filters.model} options={models} onChange={(model) => set({ model })} />}
      {accounts.length > 1 && <Choice label="Account" value={filters.account} options={accounts} onChange={(account) => set({ account })} />}
      <label className="filter">
        <span>Length</span>
        <select
          value={`${filters.shortest ?? ""}-${filters.longest ?? ""}`}
          onChange={(event) => {
            const [shortest, longest] = event.target.value.split("-").map(Number);
            set({ shortest: shortest || undefined, longest: longest || undefined });
          }}
        >
          <option value="-">any</option>
          <option value="-80">to 80</option>
          <option value="81-160">81 to 160</option>
          <option value="161-">over 160</option>
        </select>
      </label>
      {statuses && (
        <label className="filter">
          <span>Show</span>
          <select value={filters.status ?? "open"} onChange={(event) => set({ status: event.target.value as Filters["status"] })}>
            <option value="open">undecided</option>
            <option value="accepted">accepted</option>
            <option value="rejected">rejected</option>
            <option value="skipped">skipped</option>
            <option value="all">all</option>
          </select>
        </label>
      )}
    </form>
  );
}

type ChoiceProps = { label: string; value: string | null | undefined; options: string[]; onChange: (value: string | undefined) => void };

function Choice({ label, value, options, onChange }: ChoiceProps) {
  return (
    <label className="filter">
      <span>{label}</span>
      <select value={value ?? ""} onChange={(event) => onChange(event.target.value || undefined)}>
        <option value="">all</option>
        {options.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    </label>
  );
}
