/** A broken promise: what, and where. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** Throw unless `fact` holds. */
export function must(fact: boolean, promise: string, where: unknown = ''): void {
  if (!fact) throw new Violation(`${promise} ${show(where)}`.trim())
}

function show(value: unknown): string {
  if (typeof value !== 'object') return String(value)
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? Number(part) : part))
}
