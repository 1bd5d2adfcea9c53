const words = (name: string) => name.replaceAll("_", " ");

/** An object as a list of names and values; what is empty is left out, objects within become lists within. */
export function Facts({ values }: { values: Record<string, unknown> }) {
  const there = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return (
    <dl className="receipt-facts">
      {there.map(([name, value]) => (
        <div key={name}>
          <dt>{words(name)}</dt>
          <dd>{isObject(value) ? <Facts values={value} /> : written(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function written(value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" && !Number.isInteger(value)) return String(Math.round(value * 1000) / 1000);
  return Array.isArray(value) ? value.map(written).join(", ") : String(value);
}
