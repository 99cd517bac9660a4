/**
 * What is the matter, in the words of whoever knows: of several addresses that were tried, each,
 * and of a request that failed, what the system said.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(reasonOf))].join(', ')
  if (!(error instanceof Error)) return String(error)
  // `fetch failed` says nothing; its cause does.
  if (error instanceof TypeError && error.cause instanceof Error) return reasonOf(error.cause)
  if (error.message !== '') return error.message
  return 'code' in error ? String(error.code) : error.name
}
