DROP TABLE express_moves;
