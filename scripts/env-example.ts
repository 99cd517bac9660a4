import { writeFileSync } from 'node:fs'
import { configurationTable, envExample } from './settings-pages.ts'

/** Write `.env.example` and `docs/configuration.md` from the settings table. A test compares. */
const root = new URL('../', import.meta.url)
writeFileSync(new URL('.env.example', root), envExample())
writeFileSync(new URL('docs/configuration.md', root), configurationTable())
