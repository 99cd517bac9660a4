/**
 * A seeded generator of chances in [0, 1): the same seed gives the same sequence, on every machine.
 * The algorithm is sfc32 (PractRand), 128 bits of state. Not for secrets: it can be predicted.
 */
export function seededRandom(seed: number): () => number {
  let a = 0x9e3779b9
  let b = seed | 0
  let c = Math.trunc(seed / 0x1_0000_0000) | 0
  let counter = 1

  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 0x1_0000_0000
  }

  // Seeds that differ in one bit start out alike; after 15 rounds nothing of that is left.
  for (let round = 0; round < 15; round++) next()
  return next
}
