// A PLC directory and a real Bluesky PDS on 127.0.0.1, for tests only; tests/local_pds.py starts it.
//
//   node start.mjs <data-dir> <pds-port> <plc-port>
//
// <data-dir> is created if absent and reused if present: accounts, repositories and DIDs survive restart and SIGKILL.
// Prints "ready" on stdout once both answer. SIGTERM and SIGINT stop it cleanly. Other PDS_* variables of the environment
// are used, e.g. PDS_RATE_LIMITS_ENABLED=true. No AppView: app.bsky.* reads answer 400. Handles must end in .test.
// All secrets here are fixed and public: never expose this server.
import fs from 'node:fs'
import path from 'node:path'
import { PDS, envToCfg, envToSecrets, readEnv } from '@atproto/pds'
import plcPkg from '@did-plc/server' // CommonJS bundle: no named ESM exports

const [dir, pdsPort, plcPort] = process.argv.slice(2)
if (!plcPort) {
  console.error('usage: start.mjs <data-dir> <pds-port> <plc-port>')
  process.exit(2)
}
const data = path.resolve(dir)
fs.mkdirSync(data, { recursive: true })

Object.assign(process.env, {
  PDS_HOSTNAME: 'localhost', // the one hostname that gives http:// (not https://) URLs
  PDS_PORT: pdsPort,
  PDS_DATA_DIRECTORY: data,
  PDS_BLOBSTORE_DISK_LOCATION: path.join(data, 'blobs'),
  PDS_BLOBSTORE_DISK_TMP_LOCATION: path.join(data, 'blobs-tmp'),
  PDS_DID_PLC_URL: `http://127.0.0.1:${plcPort}`,
})
const defaults = {
  PDS_SERVICE_HANDLE_DOMAINS: '.test',
  PDS_INVITE_REQUIRED: 'false',
  PDS_DEV_MODE: 'true', // allows http and loopback fetches; checks responses against lexicons
  PDS_JWT_SECRET: 'local-test-jwt-secret',
  PDS_ADMIN_PASSWORD: 'local-test-admin',
  PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: '11'.repeat(32),
}
for (const [k, v] of Object.entries(defaults)) process.env[k] ??= v

// Both servers call app.listen(port), which would bind every interface.
const onLoopback = (app) => {
  const listen = app.listen.bind(app)
  app.listen = (port) => listen(Number(port), '127.0.0.1')
}

// The PLC package's only non-Postgres store is in memory: keep its accepted
// operations in a file and replay them on start, or old accounts lose their DIDs.
const opsFile = path.join(data, 'plc-ops.jsonl')
const db = plcPkg.Database.mock()
if (fs.existsSync(opsFile)) {
  for (const line of fs.readFileSync(opsFile, 'utf8').split('\n')) {
    if (!line) continue
    const { did, op } = JSON.parse(line)
    await db.validateAndAddOp(did, op)
  }
}
const accept = db.validateAndAddOp.bind(db)
db.validateAndAddOp = async (did, op) => {
  await accept(did, op)
  fs.appendFileSync(opsFile, JSON.stringify({ did, op }) + '\n')
}
const plc = plcPkg.PlcServer.create({ db, port: Number(plcPort) })
onLoopback(plc.app)
await plc.start()

const env = readEnv()
const pds = await PDS.create(envToCfg(env), envToSecrets(env))
onLoopback(pds.app)
await pds.start()

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, async () => {
    await pds.destroy()
    await plc.destroy()
    process.exit(0)
  })
}
console.log('ready')
