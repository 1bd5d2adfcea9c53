import type { ComponentProps } from "react";

type Plain = ComponentProps<"button">;
type Props = Plain & {
  /** `filled` is the one that most want, `outlined` any other, `quiet` looks like text. */
  look?: "filled" | "outlined" | "quiet";
  size?: "compact" | "small" | "medium" | "large";
  /** What it does cannot be undone. */
  danger?: boolean;
  /** As wide as there is room. */
  wide?: boolean;
  /** What it began is not done yet: it shows that, and cannot be pressed again. */
  busy?: boolean;
};

const joined = (...names: (string | false | undefined)[]): string => names.filter(Boolean).join(" ");

/** A button without a look of its own. */
export function PlainButton({ className, ...rest }: Plain) {
  return <button type="button" {...rest} className={joined("plain-button", className)} />;
}

/** A button with words on it. */
export function Button({ look = "filled", size = "medium", danger, wide, busy, className, disabled, children, ...rest }: Props) {
  const names = joined("button", `button-${look}`, `button-${size}`, danger && "button-danger", wide && "button-wide", className);
  return (
    <button type="button" {...rest} className={names} disabled={disabled || busy} aria-busy={busy || undefined}>
      <span className="button-words">{children}</span>
      {busy && <Spinner />}
    </button>
  );
}

/** A button with nothing but a picture on it; `aria-label` says what it does. */
export function IconButton({ className, ...rest }: Plain & { "aria-label": string }) {
  return <button type="button" {...rest} className={joined("icon-button", className)} />;
}

/** Something is under way. */
export function Spinner() {
  return <span className="spinner" aria-hidden="true" />;
}
