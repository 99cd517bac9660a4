/** The lines of a chart: from what to what, and where lines are drawn. */
export interface Scale {
  readonly min: number
  readonly max: number
  readonly ticks: readonly number[]
}

const STEPS = [1, 2, 2.5, 5, 10]

/**
 * A scale that has all values between round numbers, and zero. `whole`: of what is counted there
 * are no halves.
 */
export function scaleOf(values: readonly number[], whole = false): Scale {
  const least = Math.min(0, ...values)
  // Where all is zero there is a line above it, and no fraction of nothing.
  const most = values.some((value) => value !== 0) ? Math.max(least + 1e-9, ...values) : 1
  const rough = (most - least) / 3
  const power = 10 ** Math.floor(Math.log10(rough))
  const found = (STEPS.find((one) => one * power >= rough * 0.999) ?? 10) * power
  const step = whole ? Math.ceil(found - 1e-9) : found
  const min = Math.floor(least / step + 1e-9) * step
  const max = Math.ceil(most / step - 1e-9) * step
  const ticks = Array.from(
    { length: Math.round((max - min) / step) + 1 },
    (_, at) => min + at * step,
  )
  return { min, max, ticks }
}

/** What is known of places, in runs: where a value is missing, one ends and another may begin. */
export function knownRuns(
  places: readonly { readonly x: number; readonly y: number | null }[],
): { readonly x: number; readonly y: number }[][] {
  const runs: { x: number; y: number }[][] = []
  let fresh = true
  for (const { x, y } of places) {
    if (y === null) fresh = true
    else if (fresh) fresh = runs.push([{ x, y }]) === 0
    else runs.at(-1)?.push({ x, y })
  }
  return runs
}
