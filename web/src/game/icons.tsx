/** The few pictures of the page, drawn here; decoration only, so hidden from screen readers. */

import type { ReactNode } from "react";

function Icon({ children, size = 20 }: { children: ReactNode; size?: number | undefined }) {
  return (
    <svg
      aria-hidden="true"
      focusable="false"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      {children}
    </svg>
  );
}

type Size = { size?: number };

export const HumanIcon = ({ size }: Size) => (
  <Icon size={size}>
    <circle cx="12" cy="8" r="3.6" />
    <path d="M4.8 20c.8-4 3.7-6 7.2-6s6.4 2 7.2 6" />
  </Icon>
);

export const ModelIcon = ({ size }: Size) => (
  <Icon size={size}>
    <rect x="4.5" y="8" width="15" height="11" rx="3" />
    <path d="M12 8V4.6M9.2 12.6v1.6M14.8 12.6v1.6M2.2 12.6v2.4M21.8 12.6v2.4" />
    <circle cx="12" cy="3.6" r="1" />
  </Icon>
);

export const SunIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" />
  </Icon>
);

export const MoonIcon = () => (
  <Icon>
    <path d="M20 14.5A8.2 8.2 0 0 1 9.5 4 8.2 8.2 0 1 0 20 14.5Z" />
  </Icon>
);

export const InfoIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="9" />
    <path d="M12 11v5.5M12 7.6v.1" />
  </Icon>
);

export const HeartIcon = ({ size = 16 }: Size) => (
  <Icon size={size}>
    <path d="M12 20s-7.5-4.6-7.5-10.2A4.2 4.2 0 0 1 12 7.4a4.2 4.2 0 0 1 7.5 2.4C19.5 15.4 12 20 12 20Z" />
  </Icon>
);

export const CheckIcon = ({ size }: Size) => (
  <Icon size={size}>
    <path d="m5 12.5 4.5 4.5L19 7.5" />
  </Icon>
);

export const CrossIcon = ({ size }: Size) => (
  <Icon size={size}>
    <path d="m6.5 6.5 11 11M17.5 6.5l-11 11" />
  </Icon>
);

export const BoardIcon = () => (
  <Icon>
    <path d="M4 20v-7h5v7M9.5 20V5h5v15M15 20v-9h5v9M3 20h18" />
  </Icon>
);

export const ChevronIcon = ({ size = 16 }: Size) => (
  <Icon size={size}>
    <path d="m6 9.5 6 6 6-6" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);
