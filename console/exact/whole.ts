/** The most that is done to in a second, as the API has it. */
export const RATE_MAX = 500
/** For how many seconds two secrets may both sign, as the API has it. */
export const OVERLAP_MAX = 604_800

/** What the viewer typed as a whole number within bounds; null: it is none. */
export function readWhole(typed: string, least: number, most: number): number | null {
  const value = /^\d{1,9}$/.test(typed) ? Number(typed) : -1
  return value < least || value > most ? null : value
}
