/** Numbers that go on behind a backup leave out as many, whatever its age. */
const LEAST = 1_000_000

/** And as many for each second, for as long as a backup may be restored in a hurry. */
const PER_SECOND = 10_000
const HURRY_SECONDS = 1_000_000

/** A second that is longer ago leaves out fewer: ids have to fit into 15 digits. */
const PER_SECOND_LATER = 1_000

/**
 * How far behind a backup of this age, in milliseconds, numbers go on: as far as they could have
 * come meanwhile. A number too many costs nothing, one given twice may cost money. The same backup
 * restored again later goes on behind all that was given since it was restored before.
 */
export function numbersBehind(ageMs: number): bigint {
  const seconds = Math.max(0, ageMs / 1_000)
  const hurry = Math.min(seconds, HURRY_SECONDS)
  const far = LEAST + hurry * PER_SECOND + (seconds - hurry) * PER_SECOND_LATER
  return BigInt(Math.ceil(far))
}
