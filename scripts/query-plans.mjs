/**
 * Write docs/query-plans.txt: `npm run query-plans`. The plans are PostgreSQL's, so the test that
 * compares them is run, and writes them first.
 */
process.env.QUERY_PLANS = 'write'
process.argv.push('test/plans.test.ts')
await import('./test.mjs')
