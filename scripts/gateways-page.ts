import { readFileSync, writeFileSync } from 'node:fs'
import { withTables } from '../test/reply-table.ts'

/** Write the tables of `docs/gateways.md` from the functions they show. A test compares. */
const page = new URL('../docs/gateways.md', import.meta.url)
writeFileSync(page, withTables(readFileSync(page, 'utf8')))
