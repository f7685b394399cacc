// A feature service that nobody here wrote: Koop over a folder of GeoJSON files, behind https.
// Arguments: folder with node_modules, folder with the data, key, certificate. Says its port on standard output.
const [modules, data, key, cert] = process.argv.slice(2);
const { createRequire } = require('module');
const fs = require('fs');
const https = require('https');
const path = require('path');
const load = createRequire(path.join(modules, 'index.js'));

const quiet = { silly() {}, debug() {}, info() {}, warn() {}, error() {} };
const Koop = load('@koopjs/koop-core');
const koop = new Koop({ logger: quiet });
koop.register(load('@koopjs/provider-file-geojson'), { dataDir: path.relative(process.cwd(), data) });

// Koop says that it gives 2,000 rows at once, and gives as many as are asked for: here it keeps to its word.
const app = load('express')();
app.use((request, _, next) => {
  const asked = request.query;
  if (request.path.endsWith('/query') && request.method === 'GET') {
    asked.resultRecordCount = String(Math.min(Number(asked.resultRecordCount || 2000), 2000));
  }
  next();
});
app.use(koop.server);

const server = https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, app);
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
