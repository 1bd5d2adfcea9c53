const NAMES: Record<string, string> = { bluesky: "Bluesky", mastodon: "Mastodon", x: "X" };

/** How a network writes its own name; `file` and `webhook` stay what they are. */
export const networkName = (network: string): string => NAMES[network] ?? network;
