import type { Network } from "./api";
import { networkName } from "../networks";
import { lengthFor } from "./lengths";

/** How long the text is on each network, by its own rules. */
export function Counters({ networks, text }: { networks: Network[]; text: string }) {
  return (
    <ul className="counters" aria-label="Length by network">
      {networks.map((network) => {
        const { length, fits } = lengthFor(network, text);
        return (
          <li key={network.name} className={fits ? "counter" : "counter counter-over"}>
            {networkName(network.name)} {length}/{network.limit}
            {!fits && <span className="visually-hidden"> too long</span>}
          </li>
        );
      })}
    </ul>
  );
}
