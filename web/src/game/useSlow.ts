import { useEffect, useState } from "react";

/** True once `waiting` has lasted longer than people find normal. */
export function useSlow(waiting: boolean, afterMs = 1_500): boolean {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    setSlow(false);
    if (!waiting) return;
    const timer = setTimeout(() => setSlow(true), afterMs);
    return () => clearTimeout(timer);
  }, [waiting, afterMs]);
  return slow;
}
