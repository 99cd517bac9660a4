/**
 * Whether a name is probably a misspelt `candidate`: at most two letters apart; one for names under
 * 8 letters, none under 5, because short names such as HOME are near to others by chance.
 */
export function isNear(name: string, candidate: string): boolean {
  const apartMax = candidate.length < 5 ? 0 : candidate.length < 8 ? 1 : 2
  if (Math.abs(name.length - candidate.length) > apartMax) return false
  return editDistance(name, candidate) <= apartMax
}

/** Letters to insert, delete or replace to turn `a` into `b` (Levenshtein, one row at a time). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
