/** Two short tones, right and wrong, made here. Off until somebody switches them on. */
import { store, stored } from "../ui/state";

const STORED = "pasquin-sound";
let audio: AudioContext | undefined;
let switched: boolean | undefined; // on this visit: a frame may have no storage

export const soundIsOn = (): boolean => switched ?? stored(STORED) === "on";

export function setSound(on: boolean): void {
  switched = on;
  store(STORED, on ? "on" : "off");
}

export function sound(right: boolean): void {
  if (!soundIsOn()) return;
  audio ??= new AudioContext();
  const begin = audio.currentTime;
  const [tone, volume] = [audio.createOscillator(), audio.createGain()];
  tone.frequency.setValueAtTime(right ? 523 : 262, begin);
  tone.frequency.setValueAtTime(right ? 784 : 220, begin + 0.09);
  volume.gain.setValueAtTime(0.07, begin);
  volume.gain.exponentialRampToValueAtTime(0.0001, begin + 0.25);
  tone.connect(volume).connect(audio.destination);
  tone.start(begin);
  tone.stop(begin + 0.26);
}
