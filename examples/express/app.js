// An Express application: `GET /hello/` greets the person whose session token is sent.
//
//     npm install && node app.js
import express from 'express';
import { personRequired, rollcallAuth } from './rollcall-auth.js';

const { ROLLCALL_URL, ROLLCALL_BACKEND_KEY, PORT = 3000 } = process.env;
const app = express();
app.use(rollcallAuth({ url: ROLLCALL_URL, key: ROLLCALL_BACKEND_KEY }));
app.get('/hello/', personRequired, ({ person }, res) => {
  res.json({ id: person.sub, name: person.claims.name });
});
app.listen(PORT, '127.0.0.1');
