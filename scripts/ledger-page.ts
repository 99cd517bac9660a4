import { readFileSync, writeFileSync } from 'node:fs'
import { withRules } from '../test/rules-table.ts'

/** Write the table of rules in `docs/ledger.md` from the rules themselves. A test compares. */
const page = new URL('../docs/ledger.md', import.meta.url)
writeFileSync(page, withRules(readFileSync(page, 'utf8')))
